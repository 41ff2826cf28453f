"""What the running database holds is compared each time: nothing undeclared passes (E3)."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import erasure
from chassis.live_schema import SchemaMismatchError
from tests.erasure.shelf import Shelf, a_command

NOTHING = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
LETTERS = "fk_letter_person_id_data_subject"

SPOILT = {
    "a column": "ALTER TABLE letter ADD COLUMN nickname text",
    "a column that was declared otherwise": "COMMENT ON COLUMN letter.words IS 'not personal: x'",
    "a column gone": "ALTER TABLE letter DROP COLUMN words",
    "a table": "CREATE TABLE audit (who uuid)",
    "a table in another schema": "CREATE SCHEMA attic; CREATE TABLE attic.audit (who uuid)",
    "a copy of a table in another schema": "CREATE SCHEMA attic;"
    " CREATE TABLE attic.letter (LIKE letter INCLUDING ALL)",
    "a table that inherits": "CREATE TABLE postcard () INHERITS (letter)",
    "a materialized view": "CREATE MATERIALIZED VIEW names AS SELECT words FROM letter",
    "a large object": "SELECT lo_from_bytea(0, 'portrait')",
    "a dropped foreign key": f"ALTER TABLE letter DROP CONSTRAINT {LETTERS}",
    "a foreign key that lets go": f"ALTER TABLE letter DROP CONSTRAINT {LETTERS},"
    f" ADD CONSTRAINT {LETTERS} FOREIGN KEY (person_id)"
    " REFERENCES data_subject (live_id) ON UPDATE SET NULL",
    "a foreign key that waits": f"ALTER TABLE letter DROP CONSTRAINT {LETTERS},"
    f" ADD CONSTRAINT {LETTERS} FOREIGN KEY (person_id)"
    " REFERENCES data_subject (live_id) DEFERRABLE INITIALLY DEFERRED",
    "a foreign key to the wrong column": f"ALTER TABLE letter DROP CONSTRAINT {LETTERS},"
    f" ADD CONSTRAINT {LETTERS} FOREIGN KEY (person_id) REFERENCES data_subject (id)",
    "a foreign key that was not validated": f"ALTER TABLE letter DROP CONSTRAINT {LETTERS},"
    f" ADD CONSTRAINT {LETTERS} FOREIGN KEY (person_id)"
    " REFERENCES data_subject (live_id) NOT VALID",
    "a dropped check": 'ALTER TABLE "order" DROP CONSTRAINT ck_order_buyer_id_detached',
    "an empty check": 'ALTER TABLE "order" DROP CONSTRAINT ck_order_buyer_id_detached,'
    " ADD CONSTRAINT ck_order_buyer_id_detached CHECK (true)",
    "a check that was not validated": "ALTER TABLE \"order\" ADD CHECK (article <> 'x') NOT VALID",
    "a tombstone that does not let go": "ALTER TABLE data_subject"
    " ALTER COLUMN live_id DROP EXPRESSION",
    "disabled triggers of the rows": "ALTER TABLE letter DISABLE TRIGGER ALL",
    "disabled triggers of the tombstone": "ALTER TABLE data_subject DISABLE TRIGGER ALL",
    "a trigger": f"{NOTHING} CREATE TRIGGER t BEFORE DELETE ON letter"
    " FOR EACH ROW EXECUTE FUNCTION f()",
    "a rule": "CREATE RULE r AS ON DELETE TO letter DO INSTEAD NOTHING",
    "row security": "ALTER TABLE letter ENABLE ROW LEVEL SECURITY",
}


@pytest.mark.parametrize("spoiling", SPOILT.values(), ids=SPOILT.keys())
async def test_a_change_of_the_live_schema_stops_acknowledgements_and_starts(
    common: Shelf, spoiling: str
) -> None:
    await common.announce()
    with pytest.raises(SchemaMismatchError):
        await _spoilt(
            common,
            spoiling,
            lambda session: erasure.apply(session, a_command(uuid4()), common.eraser),
        )
    with pytest.raises(SchemaMismatchError):
        await _spoilt(common, spoiling, lambda session: erasure.announce(session, common.eraser))
    await common.announce()


async def _spoilt(
    shelf: Shelf, spoiling: str, attempt: Callable[[AsyncSession], Awaitable[object]]
) -> None:
    """Try it in the transaction that changes the schema, which the error then undoes."""
    async with shelf.db.transaction() as session:
        await session.execute(text("SELECT 1"))  # begins it
        raw = await (await session.connection()).get_raw_connection()
        await raw.driver_connection.execute(spoiling)  # takes several statements at once
        await attempt(session)


async def test_sessions_in_which_constraints_sleep_acknowledge_nothing(own: Shelf) -> None:
    filling = await own.fill()
    await own.sql(
        f'ALTER DATABASE "{own.db.url.rpartition("/")[2]}" SET session_replication_role = replica'
    )
    await own.db.engine.dispose()
    with pytest.raises(SchemaMismatchError, match="replica on the session"):
        await own.apply(a_command(filling.person))


async def test_the_same_command_completes_once_the_column_is_gone(own: Shelf) -> None:
    filling = await own.fill()
    command = a_command(filling.person)
    await own.sql("ALTER TABLE letter ADD COLUMN nickname text")
    with pytest.raises(SchemaMismatchError, match="column letter.nickname is not declared"):
        await own.apply(command)
    assert await own.value("SELECT count(*) FROM outbox") == 0
    await own.sql("ALTER TABLE letter DROP COLUMN nickname")
    await own.apply(command)
    assert await own.value("SELECT count(*) FROM outbox") == 1


async def test_a_service_as_migrated_is_a_service_as_declared(shelf: Shelf) -> None:
    await shelf.announce()
    table = next(entry.table.name for entry in shelf.catalogue.subjects)
    connection = await asyncpg.connect(shelf.db.url)
    try:
        await connection.execute(f'ALTER TABLE "{table}" ADD COLUMN nickname text')
        with pytest.raises(SchemaMismatchError, match=f"column {table}.nickname is not declared"):
            await shelf.announce()
    finally:
        await connection.execute(f'ALTER TABLE "{table}" DROP COLUMN nickname')
        await connection.close()
    await shelf.announce()
