"""What is written, and the tokens in it: pure functions, no server."""

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from services.notifications.credentials import subscription_of, unsubscribe_token
from services.notifications.messages import line_of, mail_of
from services.notifications.models import Delivery, DeliveryState, Kind


@pytest.mark.parametrize("token", ["a-token", None])
@pytest.mark.parametrize("slug", ["filiere-nautique", None])
@pytest.mark.parametrize("kind", Kind)
def test_every_mail_is_whole_whatever_is_known(
    kind: Kind, slug: str | None, token: str | None
) -> None:
    target_id = uuid4()
    mail = mail_of(
        kind,
        slug=slug,
        target_id=target_id,
        public_url="https://site.example",
        closes_at=datetime(2026, 12, 1, 13, 5, tzinfo=UTC) if slug else None,
        in_force_from=datetime(2026, 12, 31, 23, tzinfo=UTC) if slug else None,
        token=token,
        kept_until=date(2027, 1, 15),
    )
    line = line_of(kind, slug=slug, target_id=target_id)
    warned = "Votre compte CCI Business sera supprimé après le 15 janvier 2027"
    assert mail.subject == (warned if kind is Kind.RETENTION_WARNING else line.title)
    assert mail.text.startswith("Bonjour,\n\n")
    assert f"https://site.example{line.path}\n" in mail.text
    assert ("https://site.example/desabonnement?token=a-token\n" in mail.text) == bool(token)
    assert "L'équipe CCI Business" in mail.text
    assert "\n\n\n" not in mail.text
    assert "None" not in mail.text
    assert "{" not in mail.text


def test_dates_are_those_of_paris() -> None:
    def text(kind: Kind) -> str:
        return mail_of(
            kind,
            slug="x",
            target_id=uuid4(),
            public_url="",
            closes_at=datetime(2026, 7, 31, 22, 5, tzinfo=UTC),
            in_force_from=datetime(2026, 12, 31, 23, tzinfo=UTC),
            token=None,
        ).text

    assert "jusqu'au 1er août 2026 à 0 h 05" in text(Kind.CONSULTATION_PUBLISHED)
    assert "à partir du 1er janvier 2027" in text(Kind.NOTICE_PUBLISHED)


def test_a_token_names_its_subscription_and_cannot_be_made_up() -> None:
    subscription_id = uuid4()
    token = unsubscribe_token(key="ours", subscription_id=subscription_id)
    assert subscription_of(token, key="ours") == subscription_id
    assert subscription_of(token, key="theirs") is None
    other = unsubscribe_token(key="ours", subscription_id=uuid4())
    assert subscription_of(other[:20] + token[20:], key="ours") is None
    for wrong in ("", "=", "é", "A", token[:-3], token + "AAAA", "a" * 100):
        assert subscription_of(wrong, key="ours") is None, wrong


def test_a_mail_waits_longer_each_time_and_is_given_up_after_five_days() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    delivery = Delivery(
        person_id=uuid4(),
        kind=Kind.MEMBERSHIP_GRANTED,
        target_id=uuid4(),
        state=DeliveryState.DUE,
        attempts=0,
        created_at=start,
        due_at=start,
    )
    pauses = []
    while delivery.due_at is not None:
        before = delivery.due_at
        delivery.try_later(before)
        if delivery.due_at is not None:
            pauses.append((delivery.due_at - before).total_seconds())
    assert pauses[:4] == [10, 20, 40, 80]
    assert pauses == sorted(pauses)
    assert max(pauses) == 3600
    assert 5 * 24 * 3600 - 3600 <= sum(pauses) <= 5 * 24 * 3600 + 3600
    assert delivery.state == DeliveryState.FAILED
