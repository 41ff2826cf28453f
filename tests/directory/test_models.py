"""Rules of the nouns, in memory."""

from uuid import uuid4

import pytest

from chassis import clock
from contracts.directory import AttachmentRole
from services.directory.errors import (
    AlreadyDecidedError,
    ReasonNeededError,
    VersionConflictError,
)
from services.directory.models import (
    Attachment,
    AttachmentState,
    Company,
    DecisionRole,
    Membership,
    MembershipState,
    classified,
    located,
)

AGENT = DecisionRole.AGENT


def a_request() -> Membership:
    return Membership(
        person_id=uuid4(), company_id=uuid4(), community_id=uuid4(), requested_at=clock.now()
    )


def test_a_request_is_answered_once_and_a_refusal_has_a_reason() -> None:
    request, by, now = a_request(), uuid4(), clock.now()
    with pytest.raises(ReasonNeededError):
        request.decide(grant=False, reason=None, by=by, role=AGENT, now=now)
    assert request.state == MembershipState.PENDING
    request.decide(grant=False, reason="Hors filière", by=by, role=AGENT, now=now)
    assert (request.state, request.reason, request.decided_by, request.decided_at) == (
        MembershipState.REFUSED,
        "Hors filière",
        by,
        now,
    )
    with pytest.raises(AlreadyDecidedError):
        request.decide(grant=True, reason=None, by=by, role=AGENT, now=now)


def test_a_grant_keeps_no_reason() -> None:
    request = a_request()
    request.decide(grant=True, reason="Bienvenue", by=uuid4(), role=AGENT, now=clock.now())
    assert (request.state, request.reason) == (MembershipState.ACTIVE, None)


def test_a_sheet_is_edited_at_the_version_that_was_read() -> None:
    company = Company(
        siret="73282932000074", name="A", street="1 rue A", postcode="76600", listed_at=clock.now(),
        **located("76351"),
    )  # fmt: skip
    company.edit(expected=1, name="B")
    assert (company.name, company.version) == ("B", 2)
    with pytest.raises(VersionConflictError):
        company.edit(expected=1, name="C")
    assert company.name == "B"


def test_only_an_active_administrator_administers() -> None:
    attachment = Attachment(
        company_id=uuid4(),
        person_id=uuid4(),
        role=AttachmentRole.ADMINISTRATOR,
        since=clock.now(),
    )
    assert not attachment.administers
    attachment.accept(AttachmentRole.COLLEAGUE)
    assert (attachment.state, attachment.administers) == (AttachmentState.ACTIVE, False)
    attachment.accept(AttachmentRole.ADMINISTRATOR)
    assert attachment.administers


def test_codes_carry_their_nomenclature_and_vintage() -> None:
    assert classified("25.11Z")["naf_version"] == "NAFRev2"
    assert classified(None) == {"naf": None, "naf_version": None, "trade": None}
    place = located("76351")
    assert (place["town"], place["department"], place["commune_vintage"]) == (
        "Le Havre",
        "76",
        2026,
    )
    with pytest.raises(KeyError):
        located("99999")
