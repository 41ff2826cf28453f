"""The demo lands in the services' databases once, or not at all."""

from datetime import timedelta

import pytest

from deploy.demo.load import WRITERS, SeedRefusedError
from services.identity.credentials import password_matches
from tests.seed.conftest import COMPANIES, NOW, PASSWORD, Demo, fill, rows

EVERYTHING = "select md5(string_agg(t::text, '' order by t::text)) from {table} t"


async def state(urls: dict[str, str]) -> dict[tuple[str, str], str]:
    return {
        (service, table): (await rows(url, EVERYTHING.format(table=table)))[0][0]
        for service, url in urls.items()
        for table in WRITERS[service].tables
    }


async def test_a_repeated_run_changes_nothing(urls: dict[str, str]) -> None:
    written = await fill(urls)
    assert written.keys() == urls.keys() == WRITERS.keys()
    assert all(count > COMPANIES for count in written.values())
    before = await state(urls)
    assert await fill(urls) == {}
    assert await state(urls) == before


async def test_a_broken_run_is_finished_with_the_same_people(
    urls: dict[str, str], demo: Demo
) -> None:
    first = {service: urls[service] for service in ("identity", "privacy")}
    await fill(first)
    assert (await fill(urls, now=NOW + timedelta(hours=1))).keys() == urls.keys() - first.keys()
    whole = await state(demo.urls)
    again = await state(urls)
    secret = ("identity", "account")  # each run salts the hash of its password
    # Photos come with a storage, and this run had none.
    for table in whole.keys() - {secret, ("directory", "photo")}:
        assert again[table] == whole[table], table


async def test_what_is_written_is_ready_to_be_read(demo: Demo) -> None:
    for service, url in demo.urls.items():
        for table in WRITERS[service].tables:
            ((known, real),) = await rows(
                url,
                f"select reltuples::int, (select count(*) from {table}) from pg_class"
                f" where oid = '{table}'::regclass",
            )
            assert known == real > 0, table


async def test_progress_is_told(urls: dict[str, str]) -> None:
    told: list[tuple[int, int]] = []
    await fill(
        {"identity": urls["identity"]}, companies=4_000, progress=lambda *how: told.append(how)
    )
    [(companies, records)] = told
    assert records == 20_000
    assert 3_000 < companies <= 4_000


async def test_a_database_with_other_people_or_another_demo_is_refused(
    urls: dict[str, str],
) -> None:
    stranger = "insert into data_subject (id) values (gen_random_uuid())"
    await rows(urls["privacy"], stranger)
    with pytest.raises(SeedRefusedError, match="privacy already holds people"):
        await fill(urls)
    for service in urls.keys() - {"privacy"}:
        assert await rows(urls[service], "select 1 from data_subject") == []
    await rows(urls["privacy"], "delete from data_subject")
    await fill(urls)
    with pytest.raises(SeedRefusedError, match="another demo"):
        await fill(urls, seed=2)


async def test_the_accounts_of_the_demo_can_be_used(demo: Demo) -> None:
    found = await rows(
        demo.urls["identity"],
        "select email, state, password_hash, array_agg(role) as roles from account"
        " left join role_grant on account_id = id where email like '%@demo.example' group by id",
    )
    assert {row["state"] for row in found} == {"active"}
    assert {row["email"].split("@")[0]: row["roles"][0] for row in found} == {
        "membre": None,
        "acheteur": "buyer",
        "animateur": None,
        "conseiller": "agent",
        "dpo": "dpo",
        "exploitant": "operator",
    }
    assert await password_matches(PASSWORD, found[0]["password_hash"])
