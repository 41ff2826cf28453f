"""A toy service with every fate, small enough to see through."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Table, Text, Uuid, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.catalogue import Category, Fate, Hold, not_personal, personal, seal, subject
from chassis.erasure_rows import Tallies
from chassis.tables import service_metadata

METADATA = service_metadata()
_ID = not_personal("opaque id")


def _person(name: str, fate: Fate = Fate.DELETE, **more: object) -> Column[UUID]:
    key = "data_subject.id" if fate is Fate.KEEP else "data_subject.live_id"
    declared = subject(fate, "Essayer", **more)  # type: ignore[arg-type]
    return Column(name, Uuid, ForeignKey(key), index=True, **declared)


def _text(name: str, *, of: str | None = None, file: bool = False) -> Column[str]:
    return Column(name, Text, **personal(Category.CONTENT, "Texte", of=of, file=file))


letter = Table(
    "letter",
    METADATA,
    Column("id", Uuid, primary_key=True, **_ID),
    _person("person_id"),
    _text("words"),
    _text("scan", file=True),
)
page = Table(
    "page",
    METADATA,
    Column("id", Uuid, primary_key=True, **_ID),
    Column("letter_id", Uuid, ForeignKey("letter.id", ondelete="CASCADE"), **_ID),
    _person("person_id"),
    _text("words"),
)
order = Table(
    "order",
    METADATA,
    Column("id", Uuid, primary_key=True, **_ID),
    Column("article", Text, **not_personal("what was bought")),
    _person("buyer_id", Fate.DETACH),
    _text("remark", of="buyer_id"),
    _person("seller_id", Fate.DETACH),
    _text("signature", of="seller_id", file=True),
)
gift = Table(
    "gift",
    METADATA,
    Column("id", Uuid, primary_key=True, **_ID),
    _person("giver_id"),
    _text("card", of="giver_id"),
    _person("taker_id", Fate.DETACH),
    _text("thanks", of="taker_id"),
)
invoice = Table(
    "invoice",
    METADATA,
    Column("id", Uuid, primary_key=True, **_ID),
    _person("payer_id", Fate.KEEP, hold=Hold(rule="invoices", source="C. com. L123-22", days=3650)),
    _text("address"),
)
house = Table(
    "house",
    METADATA,
    Column("id", Uuid, primary_key=True, **_ID),
    _person("owner_id", Fate.SHARED, rule="house_goes_with_its_owner"),
    _text("name"),
)

catalogue = seal(service="toy", metadata=METADATA)


async def sell(session: AsyncSession, people: Sequence[UUID], tallies: Tallies) -> None:
    """The rule for houses, in one statement."""
    for (owner,) in await session.execute(
        text("DELETE FROM house WHERE owner_id = ANY(:ids) RETURNING owner_id"),
        {"ids": list(people)},
    ):
        tallies[owner]["house"].deleted += 1


RULES = {"house_goes_with_its_owner": sell}
