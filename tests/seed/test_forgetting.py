"""People of the demo are forgotten as anybody is: wholly, and nobody else with them."""

import importlib
import shutil
from pathlib import Path
from uuid import UUID

import pytest

from deploy.demo.load import WRITERS
from tests.erasure.shelf import a_shelf
from tests.rows import after_erasure
from tests.seed.conftest import Databases, Demo


@pytest.fixture(scope="package")
async def leaving(demo: Demo) -> dict[UUID, str]:
    """Known accounts, the owner of a sole trader's sheet, a newcomer; their addresses by id."""
    ((sole,),) = await demo.set(
        "directory", "select owner_id from company where sole_trader order by siret limit 1"
    )
    ((newcomer,),) = await demo.set(
        "identity", "select id from account order by opened_at desc limit 1"
    )
    known = [await demo.person(name) for name in ("membre", "acheteur", "animateur", "conseiller")]
    people = await demo.set(
        "identity",
        "select id, email from account where id = any($1)",
        [sole, newcomer, *known],
    )
    assert len(people) == 6
    return dict(people)


@pytest.fixture(scope="package")
async def copied(databases: Databases, demo: Demo) -> dict[str, str]:
    return await databases.copy(of=demo.urls)


@pytest.mark.parametrize("service", WRITERS)
async def test_what_a_service_knows_of_them_goes_and_all_else_stays(
    service: str, copied: dict[str, str], demo: Demo, leaving: dict[UUID, str], tmp_path: Path
) -> None:
    wired = importlib.import_module(f"services.{service}.wiring").SERVICE
    shutil.copytree(demo.storage, tmp_path, dirs_exist_ok=True)
    async with a_shelf(
        url=copied[service], catalogue=wired.catalogue, rules=wired.rules, folder=tmp_path
    ) as shelf:
        await shelf.announce()  # refuses a schema that is not the declared one
        before = await shelf.dump()
        tallies = await shelf.erase(*sorted(leaving))
        after = await shelf.dump()
        text = await shelf.everything()
    expected = before
    for person in leaving:
        expected = after_erasure(expected, wired.catalogue, person)
    for table, kept in expected.items():
        assert after[table] == kept, table
    assert not [address for address in leaving.values() if address in text]
    held = {person for person, tally in tallies.items() if any(t.deleted for t in tally.values())}
    known = {str(person) for person in leaving} & {
        cells["id"] for cells in before["data_subject"].values()
    }
    assert {str(person) for person in held} <= known
    if service == "directory":
        gone = before["photo"].keys() - after["photo"].keys()
        assert gone
        assert not [key for (key,) in gone if (tmp_path / key).exists()]
