"""PostgreSQL refuses an erasure that did not happen, whatever pretends that it did (E13).

The statements are spoilt behind the service's back, and the erasure is called directly: the
comparison of schemas, which would notice each of them, is not what is tried here.
"""

from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis.erasure import RowsLeftError, TombstoneRefusedError
from tests.erasure.shelf import Shelf


def a_trigger(table: str, when: str, body: str) -> str:
    return (
        f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f' CREATE TRIGGER spoil {when} ON "{table}" FOR EACH ROW EXECUTE FUNCTION spoil()'
    )


DISCARD = "RETURN NULL;"
SPOILT = {
    "discards the delete": a_trigger("letter", "BEFORE DELETE", DISCARD),
    "discards the delete of a child": a_trigger("page", "BEFORE DELETE", DISCARD),
    "discards the detaching update": a_trigger("order", "BEFORE UPDATE", DISCARD),
    "keeps the words and detaches the person": a_trigger(
        "order", "BEFORE UPDATE", "NEW.remark := OLD.remark; RETURN NEW;"
    ),
    "keeps the person and empties the words": a_trigger(
        "order", "BEFORE UPDATE", "NEW.buyer_id := OLD.buyer_id; RETURN NEW;"
    ),
    "writes the row again": a_trigger(
        "letter", "AFTER DELETE", "INSERT INTO letter SELECT OLD.*; RETURN NULL;"
    ),
    "discards the tombstone": a_trigger("data_subject", "BEFORE UPDATE", DISCARD),
    "takes the tombstone away": a_trigger(
        "data_subject", "BEFORE UPDATE", "NEW.erased_at := NULL; RETURN NEW;"
    ),
    "takes the tombstone away afterwards": a_trigger(
        "data_subject",
        "AFTER UPDATE OF erased_at",
        "IF NEW.erased_at IS NOT NULL THEN"
        " UPDATE data_subject SET erased_at = NULL WHERE id = NEW.id; END IF; RETURN NULL;",
    ),
    "marks somebody else": a_trigger(
        "data_subject", "BEFORE UPDATE", "NEW.id := gen_random_uuid(); RETURN NEW;"
    ),
    "does something else instead": "CREATE RULE spoil AS ON DELETE TO letter DO INSTEAD NOTHING",
    "hides the rows": "ALTER TABLE letter ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
    " CREATE POLICY nobody ON letter USING (false)",
}


@pytest.mark.parametrize("spoiling", SPOILT.values(), ids=SPOILT.keys())
async def test_an_erasure_whose_statements_are_discarded_is_refused(
    own: Shelf, spoiling: str
) -> None:
    filling = await own.fill()
    async with own.as_owner() as owned:  # row security does not bind an administrator
        await own.sql(spoiling)
        before = await own.everything()
        with pytest.raises((RowsLeftError, TombstoneRefusedError, DBAPIError)):
            await owned.erase(filling.person)
    assert await own.everything() == before


@pytest.mark.parametrize("forgotten", ["letter", "order", "gift", "house"])
async def test_a_table_that_the_eraser_skips_stops_the_commit(own: Shelf, forgotten: str) -> None:
    filling = await own.fill()
    left_out = tuple(e for e in own.catalogue.subjects if e.table.name != forgotten)
    skipping = replace(own.eraser, catalogue=replace(own.catalogue, subjects=left_out))
    careless = replace(own, eraser=skipping)
    before = await own.everything()
    with pytest.raises(RowsLeftError, match=forgotten):
        await careless.erase(filling.person)
    assert await own.everything() == before
    await own.erase(filling.person)


async def test_a_rule_that_forgets_its_rows_stops_the_commit(own: Shelf) -> None:
    async def nothing(*_: object) -> None:
        """A rule that somebody meant to write later."""

    filling = await own.fill()
    careless = replace(
        own, eraser=replace(own.eraser, rules={"house_goes_with_its_owner": nothing})
    )
    with pytest.raises(RowsLeftError, match="house"):
        await careless.erase(filling.person)


async def test_a_table_that_no_declaration_knows_stops_the_commit_if_it_references_the_person(
    own: Shelf,
) -> None:
    filling = await own.fill()
    await own.sql(
        "CREATE TABLE diary (person_id uuid REFERENCES data_subject (live_id), words text)",
        f"INSERT INTO diary VALUES ('{filling.person}', 'Cher journal')",
    )
    with pytest.raises(RowsLeftError, match="diary"):
        await own.erase(filling.person)


async def test_nobody_can_be_brought_back_by_hand_either(own: Shelf) -> None:
    filling = await own.fill()
    await own.erase(filling.person)
    for statement in (
        f"INSERT INTO letter (id, person_id) VALUES (gen_random_uuid(), '{filling.person}')",
        f"UPDATE \"order\" SET buyer_id = '{filling.person}'",
        "UPDATE \"order\" SET remark = 'à rappeler'",
        f"INSERT INTO house (id, owner_id) VALUES (gen_random_uuid(), '{filling.person}')",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await own.sql(statement)
    async with own.db.transaction() as session:  # and a repeated erasure keeps the first instant
        first = await session.scalar(text("SELECT erased_at FROM data_subject"))
    await own.erase(filling.person)
    assert await own.value("SELECT erased_at FROM data_subject") == first
