"""A search that is good enough to use: French words, typing errors, places, facets, pages."""

from uuid import uuid4

import pytest
from sqlalchemy import event

from tests.directory.town import Community, Person, Town, problem

HARFLEUR = {"street": "1 rue A", "postcode": "76700", "commune_code": "76341"}
ROUEN = {"street": "1 rue B", "postcode": "76000", "commune_code": "76540"}
CAEN = {"street": "1 rue C", "postcode": "14000", "commune_code": "14118"}
PARIS_12 = {"street": "1 rue D", "postcode": "75012", "commune_code": "75112"}

COMPANIES = (
    {"name": "Boulangerie Œuvrard", "naf": "10.71C", "address": HARFLEUR},
    {"name": "Électricité Générale Lemaître", "naf": "43.21A", "address": ROUEN},
    {
        "name": "Sofradi",
        "naf": "25.11Z",
        "address": CAEN,
        "activity": "Chaudronnerie fine et cuves inox pour l'agroalimentaire",
    },
    {"name": "L'Atelier des Quais", "naf": "71.12B", "address": PARIS_12, "activity": "Études"},
)


class Market:
    """Four companies of one chamber, seen by its agent: nothing else is in their directory."""

    def __init__(self, agent: Person, community: Community, ids: dict[str, str]) -> None:
        self.agent, self.community, self.ids = agent, community, ids

    async def names(self, **wanted: object) -> list[str]:
        answer = await self.agent.get("/companies", **wanted)
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["items"]]


@pytest.fixture(scope="package")
async def market(directory) -> Market:  # type: ignore[no-untyped-def]
    town = Town(directory)
    community = await town.a_community(open_joining=True)
    ids = {}
    for sheet in COMPANIES:
        _, ids[sheet["name"]] = await town.a_member(community, **sheet)
    return Market(await town.an_agent(community.cci), community, ids)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("boulangerie", "Boulangerie Œuvrard"),
        ("BOULANGERIES", "Boulangerie Œuvrard"),
        ("boulang", "Boulangerie Œuvrard"),
        ("boulagerie", "Boulangerie Œuvrard"),
        ("oeuvrard", "Boulangerie Œuvrard"),
        ("electricite", "Électricité Générale Lemaître"),
        ("électricité générale rouen", "Électricité Générale Lemaître"),
        ("lemaitre", "Électricité Générale Lemaître"),
        ("elctricité rouen", "Électricité Générale Lemaître"),
        ("cuve en inox", "Sofradi"),
        ("chaudronerie", "Sofradi"),
        ("sofardi", "Sofradi"),
        ("sofrady", "Sofradi"),
        ("structures métalliques", "Sofradi"),  # in the label of its activity code
        ("atelier quais", "L'Atelier des Quais"),
        ("l’atelier", "L'Atelier des Quais"),
    ],
)
async def test_a_company_is_found_by_what_people_type(market: Market, q: str, found: str) -> None:
    assert (await market.names(q=q))[:1] == [found]


@pytest.mark.parametrize(
    "q", ["xylophone", "boulangerie rouen", "'; drop table company; --", "&|!:*"]
)
async def test_what_is_not_there_is_not_found(market: Market, q: str) -> None:
    found = await market.names(q=q)
    assert found == ([] if q != "&|!:*" else await market.names())


async def test_a_siret_or_a_siren_finds_its_company(market: Market) -> None:
    sheet = (await market.agent.get(f"/companies/{market.ids['Sofradi']}")).json()
    siret = sheet["siret"]
    spaced = f"{siret[:3]} {siret[3:6]} {siret[6:9]} {siret[9:]}"
    for q in (siret, spaced, sheet["siren"]):
        assert await market.names(q=q) == ["Sofradi"]


async def test_names_are_in_french_order_without_a_query(market: Market) -> None:
    assert await market.names() == [
        "Boulangerie Œuvrard",
        "Électricité Générale Lemaître",
        "L'Atelier des Quais",
        "Sofradi",
    ]


async def test_empty_fields_of_a_form_are_no_criteria(market: Market) -> None:
    empty = {"q": "", "community": "", "naf": "", "department": "", "commune": "", "near": ""}
    assert len(await market.names(**empty, radius_km="")) == 4


async def test_places_narrow_the_search(market: Market) -> None:
    assert await market.names(department="14") == ["Sofradi"]
    assert len(await market.names(department=["14", "76"])) == 3
    assert await market.names(commune="76540") == ["Électricité Générale Lemaître"]
    assert await market.names(commune="75056") == ["L'Atelier des Quais"]  # a district of Paris
    assert await market.names(near="76351", radius_km=10) == ["Boulangerie Œuvrard"]
    nearest_first = (await market.agent.get("/companies", near="76351", radius_km=100)).json()
    assert [one["name"] for one in nearest_first["items"]] == [
        "Boulangerie Œuvrard",
        "Sofradi",
        "Électricité Générale Lemaître",
    ]
    distances = [one["distance_km"] for one in nearest_first["items"]]
    assert distances == sorted(distances)
    assert 40 < distances[1] < 70 < distances[2] < 85


@pytest.mark.parametrize(
    "wanted",
    [
        {"near": "00000"},
        {"commune": "99999"},
        {"naf": "10;"},
        {"limit": 101},
        {"radius_km": 0},
        {"sort": "name"},
        {"after": "n'importe quoi"},
        {"q": "x" * 201},
    ],
)
async def test_wrong_criteria_are_refused(market: Market, wanted: dict[str, object]) -> None:
    assert problem(await market.agent.get("/companies", **wanted))[0] == 422


async def test_activities_narrow_the_search_by_their_beginning(market: Market) -> None:
    for prefix in ("25", "25.1", "25.11", "25.11Z"):
        assert await market.names(naf=prefix) == ["Sofradi"]
    assert await market.names(naf=["10", "43.2"]) == [
        "Boulangerie Œuvrard",
        "Électricité Générale Lemaître",
    ]


async def test_facets_count_what_another_choice_would_show(market: Market) -> None:
    page = (await market.agent.get("/companies", department="76")).json()
    assert page["total"] == 2
    # The other departments stay on offer; the activities are those of the chosen one.
    departments = {
        one["value"]: (one["label"], one["count"]) for one in page["facets"]["department"]
    }
    assert departments == {
        "76": ("Seine-Maritime", 2),
        "14": ("Calvados", 1),
        "75": ("Paris", 1),
    }
    assert {one["value"]: one["count"] for one in page["facets"]["naf"]} == {"10": 1, "43": 1}
    assert [(one["value"], one["count"]) for one in page["facets"]["community"]] == [
        (market.community.id, 2)
    ]
    for key in (market.community.id, market.community.slug):
        assert len(await market.names(community=key)) == 4


@pytest.mark.parametrize("wanted", [{}, {"q": "rue boulangerie sofradi"}, {"near": "76351"}])
async def test_pages_follow_each_other_without_gap_or_repeat(
    town: Town, wanted: dict[str, str]
) -> None:
    community = await town.a_community(open_joining=True)
    marker = f"zz{uuid4().hex[:8]}"
    for number in range(7):
        await town.a_member(community, name=f"{marker} {'même nom' if number % 2 else number}")
    agent = await town.an_agent(community.cci)
    criteria = {**wanted, "limit": 3} | ({"q": marker} if "q" in wanted else {})
    seen: list[str] = []
    answer = await agent.get("/companies", **criteria)
    while True:
        seen += [one["id"] for one in answer.json()["items"]]
        if "next" not in answer.links:
            break
        following = answer.links["next"]["url"].removeprefix("/api/directory")
        answer = await agent.get(following)
    assert answer.json()["next"] is None
    assert len(seen) == len(set(seen)) == 7


async def test_a_visitor_and_a_newcomer_see_no_company(town: Town, market: Market) -> None:
    assert (await town.stand.client.get("/api/directory/companies")).status_code == 401
    newcomer = town.somebody()
    assert (await newcomer.get("/companies")).json()["items"] == []
    own = await town.a_company(newcomer)
    page = (await newcomer.get("/companies")).json()
    assert [one["id"] for one in page["items"]] == [own]
    assert page["total"] == 1


async def test_members_see_the_whole_directory(town: Town, market: Market) -> None:
    member, _ = await town.a_member(await town.a_community(open_joining=True))
    found = (await member.get("/companies", q="chaudronnerie inox")).json()["items"]
    assert "Sofradi" in [one["name"] for one in found]
    animator = await town.an_animator(await town.a_community())
    assert (await animator.get("/companies", q="Sofradi")).json()["total"] >= 1


async def test_a_search_costs_at_most_four_statements(town: Town, market: Market) -> None:
    member, _ = await town.a_member(await town.a_community(open_joining=True))
    statements: list[str] = []
    engine = town.stand.runtime.db.engine.sync_engine

    def note(connection, cursor, statement, *rest) -> None:  # type: ignore[no-untyped-def]
        if "outbox" not in statement and "photo" not in statement:  # the loops beside the door
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        found = await member.get(
            "/companies", q="inox", department="14", near="76351", radius_km=100, naf="25"
        )
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert found.json()["total"] >= 1
    assert sum("company" in one for one in statements) == 2, "positive control"
    assert len(statements) <= 4, statements


async def test_codes_are_found_for_forms(town: Town) -> None:
    client = town.stand.client

    async def communes(q: str) -> list[str]:
        answer = await client.get("/api/directory/reference/communes", params={"q": q})
        return [one["name"] for one in answer.json()]

    assert (await communes("le hav"))[0] == "Le Havre"
    assert (await communes("SAINT ETIENNE DU ROU"))[0] == "Saint-Étienne-du-Rouvray"
    assert "Harfleur" in await communes("76700")
    assert await communes("76351") == ["Le Havre"]
    found = await client.get("/api/directory/reference/naf", params={"q": "boulangerie"})
    assert ("10.71C", "NAFRev2") in [(one["code"], one["version"]) for one in found.json()]
    by_code = await client.get("/api/directory/reference/naf", params={"q": "10.71"})
    assert {one["code"] for one in by_code.json()} >= {"10.71A", "10.71C"}
    assert (await client.get("/api/directory/reference/naf?q=a")).status_code == 422
