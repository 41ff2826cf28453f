"""Forgetting people, and the fate of the companies that they leave behind."""

import asyncio
from collections import Counter
from uuid import UUID, uuid4

from contracts.directory import CompanyUnlisted, MembershipEnded, PersonDetached
from services.directory.actions import people
from services.directory.models import catalogue
from tests.directory.test_people import a_picture
from tests.directory.town import Person, Town, a_profile, a_sheet, a_siret
from tests.stand import Stand


async def dump(stand: Stand) -> dict[str, Counter[str]]:
    """Every row of every table, as text."""
    tables = await stand.rows(
        "select table_name::text as name from information_schema.tables"
        " where table_schema = 'public'"
    )
    found = {}
    for [name] in tables:
        rows = await stand.rows(f'select t::text from "{name}" t')
        found[name] = Counter(row[0] for row in rows)
    return found


def tables_with(token: str, rows: dict[str, Counter[str]]) -> set[str]:
    return {name for name, lines in rows.items() if any(token in line for line in lines)}


async def somebody_everywhere(town: Town, token: str) -> tuple[Person, str, str]:
    """A person with a row in every table, who owns a company alone and shares another one.

    Returns the person, the company that goes with them and the one that stays.
    """
    person = town.somebody()
    saved = await person.put(
        "/me/profile",
        a_profile(
            last_name=f"N{token}",
            first_name=f"P{token}",
            job_title=f"J{token}",
            about=f"A {token}",
            skills=[f"S {token}"],
            phone="06 98 76 54 32",
        ),
        headers={"Idempotency-Key": "unused"},
    )
    assert saved.status_code == 200, saved.text
    assert (await person.call("PUT", "/me/photo", content=a_picture())).status_code == 204
    alone = await town.a_company(
        person,
        name=f"E {token}",
        activity=f"A {token}",
        email=f"{token}@e.example",
        website=f"https://{token}.example",
        social=[f"https://reseau.example/{token}"],
        address={"street": f"1 rue {token}", "postcode": "76600", "commune_code": "76351"},
    )
    keyed = await person.post("/companies", a_sheet(), headers={"Idempotency-Key": f"k-{token}"})
    shared = keyed.json()["id"]
    community = await town.a_community()
    mine = await town.join(person, alone, community, answers={"note": f"R {token}"})
    agent = await town.an_agent(community.cci)
    refused = await agent.post(
        f"/memberships/{mine}/decision", {"grant": False, "reason": f"M {token}"}
    )
    assert refused.status_code == 200
    await town.join(person, shared, community, answers={"note": f"R {token}"})
    await town.stand.operate(person.id)
    operator = town.operator()
    form = {"person_id": str(person.id)}
    assert (await operator.post(f"/communities/{community.id}/animators", form)).status_code == 204
    cci = {**form, "cci": f"cci-{token}"}
    assert (await operator.post("/agents", cci)).status_code == 204
    other = town.somebody()
    theirs = await town.join(other, await town.a_company(other), community)
    decided = await person.post(f"/memberships/{theirs}/decision", {"grant": True})
    assert decided.status_code == 200
    await town.a_colleague(person, shared)
    return person, alone, shared


async def test_an_erased_person_is_found_nowhere_and_others_are_untouched(town: Town) -> None:
    token = f"t{uuid4().hex[:12]}"
    person, alone, shared = await somebody_everywhere(town, token)
    stand = town.stand
    await stand.eventually("select count(*) = 0 from photo where state <> 'stored'")
    before = await dump(stand)
    named = {name for name in catalogue.tables() if _names(before[name], person.id)}
    assert named == set(catalogue.tables()), "positive control: a row in every table"
    assert tables_with(token, before) == {
        "profile", "company", "membership", "cci_agent", "idempotency_key"
    }  # fmt: skip
    [[key]] = await stand.rows("select storage_key from photo where person_id = $1", person.id)
    assert await stand.runtime.storage.get(key) is not None

    acknowledged = await stand.erase(person.id)
    [evidence] = acknowledged["subjects"]
    assert evidence["outcome"] == "erased"
    done = {name: (one["deleted"], one["detached"]) for name, one in evidence["tables"].items()}
    assert done == {
        "attachment": (2, 0),
        "cci_agent": (1, 0),
        "community_animator": (1, 0),
        "company": (1, 1),
        "idempotency_key": (1, 0),
        "membership": (2, 1),
        "operator_action": (0, 1),
        "photo": (1, 0),
        "profile": (1, 0),
    }
    after = await dump(stand)
    assert tables_with(token, after) == set()
    still = {name for name, rows in after.items() if _names(rows, person.id)}
    assert still <= {"data_subject", "outbox", "inbox", "applied"}
    assert await stand.runtime.storage.get(key) is None
    assert {row[0] for row in await stand.rows("select id from company")} >= {UUID(shared)}
    assert not await stand.rows("select 1 from company where id = $1", UUID(alone))
    await stand.hear(CompanyUnlisted, company_id=alone)
    assert not stand.heard_count(CompanyUnlisted, company_id=shared)
    assert not stand.heard_count(MembershipEnded, person_id=person.id)
    assert not stand.heard_count(PersonDetached, person_id=person.id)
    _untouched(before, after, person.id, shared)
    assert (await person.get("/me/profile")).status_code == 401


def _names(rows: Counter[str], person: UUID) -> bool:
    return any(str(person) in row for row in rows)


def _untouched(
    before: dict[str, Counter[str]], after: dict[str, Counter[str]], person: UUID, shared: str
) -> None:
    """Rows that did not name the person are the same, but for the heir of the shared company."""
    for name in catalogue.tables():
        kept = Counter({row: n for row, n in before[name].items() if str(person) not in row})
        lost = kept - after[name]
        gained = after[name] - kept
        if name in ("company", "attachment"):  # handed over: one new owner, one promotion
            assert all(shared in row for row in [*lost, *gained])
        elif name in ("membership", "operator_action"):  # by the person: detached, else as before
            assert not lost
            assert len(gained) == 1
        else:
            assert not lost
            assert not gained


async def test_people_of_one_company_who_are_erased_together_leave_no_sheet(town: Town) -> None:
    owner = town.somebody()
    company = await town.a_company(owner)
    colleague = await town.a_colleague(owner, company)
    evidence = await town.stand.erase(owner.id, colleague.id)
    by_table = [one["tables"] for one in evidence["subjects"]]
    assert sorted(one["company"]["deleted"] for one in by_table) == [0, 1]
    assert [one["attachment"]["deleted"] for one in by_table] == [1, 1]
    await town.stand.hear(CompanyUnlisted, company_id=company)


async def test_a_sole_trader_takes_the_sheet_along_and_colleagues_are_told(town: Town) -> None:
    community = await town.a_community(open_joining=True)
    owner, company = await town.a_member(community, sole_trader=True)
    colleague = await town.a_colleague(owner, company)
    membership = await town.join(colleague, company, community)
    await town.stand.erase(owner.id)
    await town.stand.hear(CompanyUnlisted, company_id=company)
    await town.stand.hear(PersonDetached, company_id=company, person_id=colleague.id)
    await town.stand.hear(MembershipEnded, membership_id=membership)
    assert (await colleague.get("/me/companies")).json() == []


async def test_a_decision_outlives_the_person_who_took_it_without_them(town: Town) -> None:
    community = await town.a_community()
    member = town.somebody()
    membership = await town.join(member, await town.a_company(member), community)
    animator = await town.an_animator(community)
    await animator.post(f"/memberships/{membership}/decision", {"grant": True})
    [evidence] = (await town.stand.erase(animator.id))["subjects"]
    assert evidence["tables"]["membership"]["detached"] == 1
    [row] = await town.stand.rows(
        "select state, decided_by, decided_at is not null as dated from membership where id = $1",
        UUID(membership),
    )
    assert tuple(row) == ("active", None, True)


async def test_nothing_can_be_written_about_an_erased_person(town: Town) -> None:
    owner = town.somebody()
    company = await town.a_company(owner)
    colleague = await town.a_colleague(owner, company)
    community = await town.a_community()
    await town.stand.erase(colleague.id)
    form = {"person_id": str(colleague.id)}
    refused = await town.operator().post(f"/communities/{community.id}/animators", form)
    assert (refused.status_code, refused.json()["type"]) == (410, "urn:ccib:problem:subject-erased")
    assert (await colleague.put("/me/profile", a_profile())).status_code == 401


async def test_an_erasure_waits_for_a_photo_that_is_being_stored_and_takes_it_along(
    town: Town,
) -> None:
    """The file arrives while the erasure runs: it must not survive the row."""
    person, runtime = town.somebody(), town.stand.runtime
    async with runtime.db.transaction() as session:
        key = await people.announce_photo(session, person_id=person.id)
    async with runtime.db.transaction() as session:
        await people.store_photo(
            session, storage=runtime.storage, key=key, person_id=person.id, content=b"x"
        )
        erasing = asyncio.ensure_future(town.stand.erase(person.id))
        await asyncio.sleep(0.5)
        assert not erasing.done()
    await erasing
    assert await runtime.storage.get(key) is None


async def test_joining_while_the_last_owner_is_erased_leaves_nothing(town: Town) -> None:
    """Many doors at once, on companies whose owners are being erased."""
    community = await town.a_community(open_joining=True)
    for _ in range(5):
        owner = town.somebody()
        siret = a_siret()
        company = await town.a_company(owner, siret=siret)
        colleague = await town.a_colleague(owner, company)
        async with asyncio.TaskGroup() as group:
            group.create_task(town.stand.erase(owner.id, colleague.id))
            calls = [
                group.create_task(
                    colleague.post(
                        f"/communities/{community.slug}/memberships", {"company_id": company}
                    )
                ),
                group.create_task(colleague.delete(f"/companies/{company}/attachments/me")),
                group.create_task(owner.post("/companies", {**a_sheet(), "siret": siret})),
            ]
        assert all(one.result().status_code < 500 for one in calls), [
            one.result().text for one in calls
        ]
        assert not await town.stand.rows("select 1 from company where siret = $1", siret)
