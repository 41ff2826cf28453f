"""The rules of consultations and replies, in memory."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis import clock
from chassis.catalogue import Fate
from chassis.ids import new_id
from contracts.directory import AttachmentRole
from services.consultations.errors import (
    AlreadyWithdrawnError,
    ClosingTimeError,
    LinkMismatchError,
    NotADraftError,
    NotAttachedError,
    NotOpenError,
    NotTheAuthorError,
    OwnConsultationError,
    RepliesElsewhereError,
)
from services.consultations.models import LONGEST, Consultation, Reply, catalogue
from services.consultations.schemas import Kind, ReplyState, State

NOW = clock.now()
HOUR = timedelta(hours=1)


def a_draft(**terms: Any) -> Consultation:
    return Consultation(
        **{
            "company_id": new_id(),
            "author_id": new_id(),
            "title": "Vannes motorisées",
            "description": "Révision de douze vannes.",
            "kind": Kind.SOURCING,
            "closes_at": NOW + HOUR,
            "created_at": NOW,
            **terms,
        }
    )


def published(**terms: Any) -> Consultation:
    made = a_draft(**terms)
    made.publish(now=NOW)
    return made


def a_reply(author: UUID | None = None) -> Reply:
    return Reply(
        consultation_id=new_id(),
        company_id=new_id(),
        person_id=author or new_id(),
        message="Nous savons faire.",
        contact_name="Ada Martin",
        submitted_at=NOW,
    )


def test_a_draft_is_published_then_closed() -> None:
    made = a_draft()
    assert made.state == State.DRAFT
    made.publish(now=NOW)
    assert (made.state, made.published_at) == (State.PUBLISHED, NOW)
    made.close(now=NOW + HOUR)
    assert (made.state, made.ended_at) == (State.CLOSED, NOW + HOUR)


def test_what_is_published_is_neither_changed_nor_published_again() -> None:
    made = published()
    with pytest.raises(NotADraftError):
        made.publish(now=NOW)
    with pytest.raises(NotADraftError):
        made.amend(editor=new_id(), title="Autre chose")
    assert made.title == "Vannes motorisées"


@pytest.mark.parametrize("verb", ["close", "cancel"])
def test_only_what_is_published_ends_and_only_once(verb: str) -> None:
    draft = a_draft()
    with pytest.raises(NotOpenError):
        getattr(draft, verb)(now=NOW)
    made = published()
    getattr(made, verb)(now=NOW)
    for again in ("close", "cancel"):
        with pytest.raises(NotOpenError):
            getattr(made, again)(now=NOW)


@pytest.mark.parametrize("closes_at", [NOW - HOUR, NOW, NOW + LONGEST + HOUR])
def test_it_closes_in_the_future_and_within_a_year(closes_at: Any) -> None:
    with pytest.raises(ClosingTimeError):
        a_draft(closes_at=closes_at).publish(now=NOW)


@pytest.mark.parametrize(
    ("kind", "url"), [(Kind.PUBLIC_LINK, None), (Kind.SOURCING, "https://achats.example/1")]
)
def test_a_link_belongs_to_links(kind: Kind, url: str | None) -> None:
    with pytest.raises(LinkMismatchError):
        a_draft().amend(editor=new_id(), kind=kind, external_url=url)


def test_whoever_gives_contact_details_is_the_one_they_are_about() -> None:
    made, colleague = a_draft(), new_id()
    author = made.author_id
    made.amend(editor=colleague, title="Un autre titre")
    assert made.author_id == author
    made.amend(editor=colleague, contact_email=None)
    assert made.author_id == author
    made.amend(editor=colleague, contact_email="b@entreprise.example")
    assert made.author_id == colleague


def test_a_reply_is_refused_when_time_is_over_even_before_the_clock_job_has_run() -> None:
    made = published()
    made.check_reply(company_id=new_id(), now=NOW)
    with pytest.raises(NotOpenError):
        made.check_reply(company_id=new_id(), now=made.closes_at)
    for ended in (State.DRAFT, State.CLOSED, State.CANCELLED):
        made.state = ended
        with pytest.raises(NotOpenError):
            made.check_reply(company_id=new_id(), now=NOW)


def test_a_company_does_not_reply_to_itself_nor_to_a_link() -> None:
    made = published()
    with pytest.raises(OwnConsultationError):
        made.check_reply(company_id=made.company_id, now=NOW)
    link = published(kind=Kind.PUBLIC_LINK, external_url="https://achats.example/1")
    with pytest.raises(RepliesElsewhereError):
        link.check_reply(company_id=new_id(), now=NOW)


def test_a_withdrawn_reply_forgets_what_it_said() -> None:
    author = new_id()
    made = a_reply(author)
    made.withdraw(by=author, role=AttachmentRole.COLLEAGUE, now=NOW)
    assert made.state == ReplyState.WITHDRAWN
    assert made.message is None
    assert made.contact is None
    assert made.sha256 is None
    with pytest.raises(AlreadyWithdrawnError):
        made.withdraw(by=author, role=AttachmentRole.COLLEAGUE, now=NOW)


def test_a_reply_is_withdrawn_by_its_author_or_an_administrator_who_still_acts_for_it() -> None:
    author = new_id()
    with pytest.raises(NotAttachedError):
        a_reply(author).withdraw(by=author, role=None, now=NOW)
    with pytest.raises(NotTheAuthorError):
        a_reply(author).withdraw(by=new_id(), role=AttachmentRole.COLLEAGUE, now=NOW)
    a_reply(author).withdraw(by=new_id(), role=AttachmentRole.ADMINISTRATOR, now=NOW)


def test_a_receipt_has_a_number_of_its_own_and_proves_the_message() -> None:
    one, two = a_reply(), a_reply()
    assert one.number != two.number
    assert one.number.startswith(f"{NOW:%Y%m%d}-")
    assert one.sha256 == hashlib.sha256(b"Nous savons faire.").hexdigest()


def test_what_belongs_to_companies_is_detached_and_the_rest_deleted() -> None:
    fates = {entry.table.name: entry.declared.fate for entry in catalogue.subjects}
    detached = {name for name, fate in fates.items() if fate is Fate.DETACH}
    assert detached == {"consultation", "operator_action", "reply"}
    assert set(fates.values()) == {Fate.DETACH, Fate.DELETE}
