"""Company sheets: listing, asking to be attached, editing, leaving."""

import asyncio
from uuid import uuid4

import pytest

from chassis.ids import new_id
from contracts.directory import (
    CompanyListed,
    CompanyUnlisted,
    MembershipEnded,
    PersonAttached,
    PersonDetached,
)
from tests.directory.town import URL, Town, a_sheet, a_siret, problem


async def test_a_company_is_listed_and_its_author_administers_it(town: Town) -> None:
    person = town.somebody()
    wanted = a_sheet(
        name="Chaudronnerie du Havre",
        email="Contact@Chaudronnerie.example",
        website="chaudronnerie.example",
        social=["https://reseau.example/chaudronnerie"],
        activity="Cuves et tuyauteries inox",
        naf="2511Z",
    )
    listed = await person.post("/companies", wanted)
    assert listed.status_code == 201, listed.text
    assert listed.json()["attachment"] == {"role": "administrator", "state": "active"}
    company = listed.json()["id"]
    assert listed.headers["Location"] == f"/api/directory/companies/{company}"
    sheet = (await person.get(f"/companies/{company}")).json()
    assert sheet["siren"] == wanted["siret"][:9]
    assert (sheet["phone"], sheet["email"]) == ("+33235112233", "contact@chaudronnerie.example")
    assert sheet["website"] == "https://chaudronnerie.example"
    assert (sheet["naf"], sheet["naf_version"]) == ("25.11Z", "NAFRev2")
    assert "structures métalliques" in sheet["trade"]
    assert sheet["address"] == {
        "street": "12 rue du Port",
        "postcode": "76600",
        "commune_code": "76351",
        "commune_vintage": 2026,
        "town": "Le Havre",
        "department": "76",
    }
    assert sheet["attachment"] == {"role": "administrator", "state": "active"}
    assert [one["siret"] for one in (await person.get("/me/companies")).json()] == [wanted["siret"]]
    await town.stand.hear(CompanyListed, company_id=company)
    await town.stand.hear(
        PersonAttached, company_id=company, person_id=person.id, role="administrator"
    )
    assert "Chaudronnerie" not in str(town.stand.heard)


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"siret": "11122233344455"}, "/body/siret", "SIREN"),
        ({"siret": "73282932000079"}, "/body/siret", "cinq derniers chiffres"),
        ({"siret": "7328293200007"}, "/body/siret", "14 chiffres"),
        ({"siret": "٣٥٦٠٠٠٠٠٠٠٠٠٤٨"}, "/body/siret", "14 chiffres"),
        ({"naf": "99.99X"}, "/body/naf", "n'existe pas"),
        ({"naf": "25"}, "/body/naf", "n'existe pas"),
        ({"phone": "pas un numéro"}, "/body/phone", "numéro de téléphone"),
        ({"email": "a@b"}, "/body/email", "adresse e-mail"),
        ({"website": "javascript://alert.example/%0aalert(1)"}, "/body/website", "site internet"),
        ({"website": "sans point"}, "/body/website", "site internet"),
        ({"name": "Deux\nlignes"}, "/body/name", "format"),
    ],
)
async def test_a_wrong_field_is_named_with_its_reason(
    town: Town, changes: dict[str, object], pointer: str, says: str
) -> None:
    refused = await town.somebody().post("/companies", a_sheet(**changes))
    assert problem(refused) == (422, "invalid-input")
    [error] = refused.json()["errors"]
    assert error["pointer"] == pointer
    assert says in error["detail"]


@pytest.mark.parametrize(
    ("postcode", "commune", "accepted"),
    [
        ("76600", "76351", True),
        ("76072", "76351", True),  # a CEDEX
        ("14000", "76351", False),
        ("76600", "99999", False),
        ("75001", "75101", True),  # a municipal district
        ("766", "76351", False),
        ("14100", "14001", True),  # a commune that merged into another one keeps resolving
    ],
)
async def test_an_address_is_checked_with_leniency(
    town: Town, postcode: str, commune: str, *, accepted: bool
) -> None:
    address = {"street": "1 quai Nord", "postcode": postcode, "commune_code": commune}
    answer = await town.somebody().post("/companies", a_sheet(address=address))
    assert answer.status_code == (201 if accepted else 422), answer.text


async def test_the_siret_of_la_poste_is_accepted(town: Town) -> None:
    answer = await town.somebody().post("/companies", a_sheet(siret="356 000 000 00048"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["siret"] == "35600000000048"


async def test_who_knows_a_siret_can_recognise_its_company_and_ask_for_it(town: Town) -> None:
    owner, person = town.somebody(), town.somebody()
    siret = a_siret()
    company = await town.a_company(owner, siret=siret, naf="2511Z")
    listed = (await person.get(f"/companies/by-siret/{siret[:3]} {siret[3:]}")).json()
    assert (listed["siret"], listed["town"], listed["claimed"]) == (siret, "Le Havre", True)
    assert listed["name"]
    assert [listed[name] for name in ("street", "postcode", "naf", "attachment")] == [None] * 4
    assert company not in str(listed)
    for status in (201, 200):
        asked = await person.post(f"/companies/by-siret/{siret}/attachments", None)
        assert (asked.status_code, asked.json()) == (
            status,
            {"role": "colleague", "state": "pending"},
        )
    listed = (await person.get(f"/companies/by-siret/{siret}")).json()
    assert listed["attachment"]["state"] == "pending"
    assert await town.stand.rows(
        "UPDATE company SET owner_id = NULL WHERE id = $1 RETURNING 1", company
    )
    free = (await town.somebody().get(f"/companies/by-siret/{siret}")).json()
    assert (free["claimed"], free["postcode"], free["naf"]) == (False, "76600", "25.11Z")
    late = await town.somebody().post(f"/companies/by-siret/{siret}/attachments", None)
    assert late.status_code == 404

    alone = a_siret()
    await town.a_company(owner, siret=alone, sole_trader=True)
    hidden = (await person.get(f"/companies/by-siret/{alone}")).json()
    assert (hidden["name"], hidden["town"], hidden["claimed"]) == (None, None, True)
    assert (await person.get(f"/companies/by-siret/{a_siret()}")).status_code == 404
    assert (await person.get("/companies/by-siret/123")).status_code == 422


async def test_a_known_siret_asks_an_administrator_for_attachment(town: Town) -> None:
    owner, person = town.somebody(), town.somebody()
    company = await town.a_company(owner)
    siret = (await owner.get(f"/companies/{company}")).json()["siret"]
    asked = await person.post("/companies", a_sheet(siret=siret, name="Un autre nom"))
    assert asked.status_code == 201
    assert asked.json() == {
        "id": company,
        "siret": siret,
        "attachment": {"role": "colleague", "state": "pending"},
    }
    assert (await person.post("/companies", a_sheet(siret=siret))).status_code == 200
    # Until then the sheet stays closed, and is not theirs to change.
    assert (await person.get(f"/companies/{company}")).status_code == 404
    assert (await owner.get(f"/companies/{company}")).json()["name"] != "Un autre nom"
    waiting = (await owner.get(f"/companies/{company}/attachments")).json()
    assert [(one["person"]["id"], one["state"], one["owner"]) for one in waiting] == [
        (str(owner.id), "active", True),
        (str(person.id), "pending", False),
    ]
    assert (
        await owner.post(f"/companies/{company}/attachments/{person.id}/acceptance")
    ).status_code == 204
    await town.stand.hear(PersonAttached, company_id=company, person_id=person.id, role="colleague")
    assert (await person.get(f"/companies/{company}")).status_code == 200
    refused = await person.get(f"/companies/{company}/attachments")
    assert problem(refused) == (403, "not-administrator")


async def test_a_repeated_listing_answers_as_the_first(town: Town) -> None:
    person, key, sheet = town.somebody(), uuid4().hex, a_sheet()
    answers = [
        await person.post("/companies", sheet, headers={"Idempotency-Key": key}) for _ in range(2)
    ]
    assert {(one.status_code, one.text) for one in answers} == {(201, answers[0].text)}
    reused = await person.post("/companies", a_sheet(), headers={"Idempotency-Key": key})
    assert problem(reused) == (422, "idempotency-key-reused")


async def test_one_company_listed_by_many_at_once_has_one_owner(town: Town) -> None:
    sheet = a_sheet()
    answers = await asyncio.gather(*(town.somebody().post("/companies", sheet) for _ in range(6)))
    assert {one.status_code for one in answers} == {201}
    states = sorted(one.json()["attachment"]["state"] for one in answers)
    assert states == ["active"] + ["pending"] * 5
    assert len({one.json()["id"] for one in answers}) == 1


async def test_who_claims_an_imported_company_first_administers_it(town: Town) -> None:
    owner, person, late = town.somebody(), town.somebody(), town.somebody()
    siret = a_siret()
    company = await town.a_company(owner, siret=siret)
    await town.stand.rows("delete from attachment where company_id = $1", company)
    await town.stand.rows("update company set owner_id = null where id = $1", company)
    claimed = await person.post("/companies", a_sheet(siret=siret, name="Le vrai nom"))
    assert claimed.json()["attachment"] == {"role": "administrator", "state": "active"}
    assert (await person.get(f"/companies/{company}")).json()["name"] == "Le vrai nom"
    assert (await late.post("/companies", a_sheet(siret=siret))).json()["attachment"]["state"] == (
        "pending"
    )


async def test_a_change_needs_the_version_that_was_read(town: Town) -> None:
    owner = town.somebody()
    company = await town.a_company(owner, email="a@b.example")
    path = f"/companies/{company}"
    read = await owner.get(path)
    etag = read.headers["ETag"]

    async def change(body: object, match: str | None = None):  # type: ignore[no-untyped-def]
        headers = {} if match is None else {"If-Match": match}
        return await owner.call("PATCH", path, json=body, headers=headers)

    assert problem(await change({"name": "Neuf"})) == (428, "version-required")
    assert problem(await change({"name": "Neuf"}, "W/x")) == (400, "malformed-request")
    changed = await change({"name": "Neuf", "email": None, "naf": "10.71C"}, etag)
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert (body["name"], body["email"], body["naf"]) == ("Neuf", None, "10.71C")
    assert (body["phone"], body["version"]) == (read.json()["phone"], 2)
    assert "oulangerie" in body["trade"]
    assert changed.headers["ETag"] == '"2"'
    assert problem(await change({"name": "Vieux"}, etag)) == (412, "version-conflict")
    assert problem(await change({"name": None}, '"2"')) == (422, "invalid-input")
    assert problem(await change({"siret": a_siret()}, '"2"')) == (422, "invalid-input")


async def test_only_administrators_change_a_sheet(town: Town) -> None:
    owner, stranger = town.somebody(), town.somebody()
    company = await town.a_company(owner)
    colleague = await town.a_colleague(owner, company)
    path, how = f"/companies/{company}", {"json": {"name": "X"}, "headers": {"If-Match": '"1"'}}
    assert problem(await colleague.call("PATCH", path, **how)) == (403, "not-administrator")
    assert problem(await stranger.call("PATCH", path, **how)) == (404, "not-found")
    for reader, refusal in ((colleague, 403), (stranger, 404)):
        gone = await reader.delete(f"{path}/attachments/{owner.id}")
        assert gone.status_code == refusal


async def test_an_administrator_removes_a_colleague_but_not_the_owner(town: Town) -> None:
    owner = town.somebody()
    company = await town.a_company(owner)
    other = await town.a_colleague(owner, company, role="administrator")
    assert problem(await other.delete(f"/companies/{company}/attachments/{owner.id}")) == (
        409,
        "owner-stays",
    )
    demoted = await other.post(
        f"/companies/{company}/attachments/{owner.id}/acceptance", {"role": "colleague"}
    )
    assert problem(demoted) == (409, "owner-stays")
    assert (await owner.delete(f"/companies/{company}/attachments/{other.id}")).status_code == 204
    await town.stand.hear(PersonDetached, company_id=company, person_id=other.id)
    assert (await other.get(f"/companies/{company}")).status_code == 404


async def owner_of(town: Town, company: str) -> object:
    rows = await town.stand.rows("select owner_id from company where id = $1", company)
    return rows[0][0] if rows else None


async def test_an_owner_who_leaves_hands_the_sheet_to_an_administrator_first(town: Town) -> None:
    owner = town.somebody()
    company = await town.a_company(owner)
    earliest = await town.a_colleague(owner, company)
    administrator = await town.a_colleague(owner, company, role="administrator")
    assert (await owner.delete(f"/companies/{company}/attachments/me")).status_code == 204
    assert await owner_of(town, company) == administrator.id
    assert (await owner.get(f"/companies/{company}")).status_code == 404
    # The next one leaves: the earliest colleague inherits, and may then administer.
    assert (await administrator.delete(f"/companies/{company}/attachments/me")).status_code == 204
    assert await owner_of(town, company) == earliest.id
    await town.stand.hear(
        PersonAttached, company_id=company, person_id=earliest.id, role="administrator"
    )
    assert (await earliest.get(f"/companies/{company}/attachments")).status_code == 200
    assert town.stand.heard_count(CompanyUnlisted, company_id=company) == 0


async def test_a_sheet_goes_with_the_last_person_and_takes_its_memberships(town: Town) -> None:
    community = await town.a_community(open_joining=True)
    owner, company = await town.a_member(community)
    waiting = town.somebody()
    await town.ask(waiting, owner, company)
    assert (await owner.delete(f"/companies/{company}/attachments/me")).status_code == 204
    await town.stand.hear(CompanyUnlisted, company_id=company)
    await town.stand.hear(MembershipEnded, company_id=company, person_id=owner.id)
    assert await owner_of(town, company) is None
    assert (await waiting.get("/me/companies")).json() == []
    again = await owner.delete(f"/companies/{company}/attachments/me")
    assert problem(again) == (404, "not-found")


async def test_a_sole_trader_sheet_has_no_heir(town: Town) -> None:
    community = await town.a_community(open_joining=True)
    owner, company = await town.a_member(community, sole_trader=True)
    colleague = await town.a_colleague(owner, company)
    await town.join(colleague, company, community)
    assert (await owner.delete(f"/companies/{company}/attachments/me")).status_code == 204
    await town.stand.hear(CompanyUnlisted, company_id=company)
    await town.stand.hear(PersonDetached, company_id=company, person_id=colleague.id)
    await town.stand.hear(MembershipEnded, company_id=company, person_id=colleague.id)


async def test_a_sole_trader_contact_is_for_members_and_those_who_run_its_community(
    town: Town,
) -> None:
    community = await town.a_community(open_joining=True)
    _, company = await town.a_member(community, sole_trader=True, email="seul@e.example")
    member, _ = await town.a_member(await town.a_community(open_joining=True))
    readers = {
        "member": (member, True),
        "animator": (await town.an_animator(community), True),
        "agent": (await town.an_agent(community.cci), True),
        "animator elsewhere": (await town.an_animator(await town.a_community()), False),
    }
    for name, (reader, shown) in readers.items():
        sheet = (await reader.get(f"/companies/{company}")).json()
        assert (sheet["phone"], sheet["email"]) == (
            ("+33235112233", "seul@e.example") if shown else (None, None)
        ), name
    assert (await town.somebody().get(f"/companies/{company}")).status_code == 404


async def test_who_knows_an_id_learns_the_name_unless_it_is_that_of_a_person(town: Town) -> None:
    owner = town.somebody()
    firm = await town.a_company(owner, name="Chaudronnerie de la Seine")
    alone = await town.a_company(owner, name="Inès Marchand", sole_trader=True)
    asked = {"id": [firm, alone, str(new_id())]}

    async def told(headers: dict[str, str]) -> dict[str, str]:
        answer = await town.stand.client.get(f"{URL}/company-names", params=asked, headers=headers)
        assert answer.status_code == 200, answer.text
        return {one["id"]: one["name"] for one in answer.json()}

    both = {firm: "Chaudronnerie de la Seine", alone: "Inès Marchand"}
    assert await told(owner.headers) == both
    assert await told({}) == await told(town.somebody().headers) == {firm: both[firm]}
    member, _ = await town.a_member(await town.a_community(open_joining=True))
    assert await told(member.headers) == both
    many = await town.stand.client.get(f"{URL}/company-names", params={"id": [firm] * 101})
    assert many.status_code == 422
