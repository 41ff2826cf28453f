"""Through the whole consumer of a running service: what is not proven is not acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import asyncpg
import pytest

from contracts.privacy import ErasureAcknowledged
from services.identity.wiring import SERVICE
from tests import rows
from tests.erasure.shelf import a_command
from tests.mailbox import Mailbox
from tests.stand import Stand, standing

SPOILT = {
    "a column": (
        "ALTER TABLE account ADD COLUMN nickname text",
        "ALTER TABLE account DROP COLUMN nickname",
    ),
    "a trigger that discards the delete": (
        (
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
            " CREATE TRIGGER spoil BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION spoil()"
        ),
        "DROP FUNCTION spoil CASCADE",
    ),
    "a trigger that discards the tombstone": (
        (
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
            " CREATE TRIGGER spoil BEFORE UPDATE ON data_subject"
            " FOR EACH ROW EXECUTE FUNCTION spoil()"
        ),
        "DROP FUNCTION spoil CASCADE",
    ),
    "a lock that nobody gives up": ("", ""),
}


@pytest.fixture(scope="module")
async def identity(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    folder: Path = tmp_path_factory.mktemp("identity")
    async with standing(SERVICE, servers=servers, folder=folder, smtp_url=mailbox.url) as stand:
        yield stand


@pytest.mark.parametrize(("spoil", "mend"), SPOILT.values(), ids=SPOILT.keys())
async def test_nothing_is_acknowledged_until_the_database_is_as_declared_and_then_it_is(
    identity: Stand, spoil: str, mend: str
) -> None:
    person = uuid4()
    async with identity.runtime.db.engine.begin() as connection:
        filling = await rows.fill(connection, SERVICE.catalogue, person)
    heard = identity.heard_count(ErasureAcknowledged)
    administrator = await asyncpg.connect(identity.admin_url)
    change = administrator.transaction()
    try:
        await change.start()
        await administrator.execute(
            spoil or f"UPDATE account SET state = state WHERE id = '{person}'"
        )
        if spoil:
            await change.commit()
        erasing = asyncio.create_task(identity.erase(person))
        await asyncio.sleep(1.2)  # two attempts
        assert not erasing.done()
        assert identity.heard_count(ErasureAcknowledged) == heard
        assert await identity.rows("SELECT FROM account WHERE id = $1", person)
        await (administrator.execute(mend) if spoil else change.rollback())
        [evidence] = (await erasing)["subjects"]
    finally:
        await administrator.close()
    assert evidence["tables"]["account"]["deleted"] == 1
    async with identity.runtime.db.engine.connect() as connection:
        everything = await rows.everything(connection)
    assert not {where for token, where in filling.tokens.items() if token in everything}


async def test_a_command_from_anybody_but_privacy_erases_nobody(identity: Stand) -> None:
    person = uuid4()
    async with identity.runtime.db.engine.begin() as connection:
        await rows.fill(connection, SERVICE.catalogue, person)
    await identity.say(a_command(person))
    await identity.erase(uuid4())  # by now the stranger's command has been looked at
    assert await identity.rows("SELECT FROM account WHERE id = $1", person)
    assert not await identity.rows(
        "SELECT FROM data_subject WHERE id = $1 AND erased_at > '-infinity'", person
    )
