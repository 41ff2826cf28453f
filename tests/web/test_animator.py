"""Requests to join: accepted, refused with a reason, and decided in another tab meanwhile."""

from dataclasses import dataclass

from tests.directory.town import a_sheet
from tests.web.browser import Tab, opened
from tests.web.conftest import Site, sign_in
from tests.web.seeing import HOSTILE, look, sent_twice


@dataclass(kw_only=True)
class Request:
    """Somebody asks to join."""

    id: str
    name: str
    headers: dict[str, str]


async def asked(site: Site, community: str, *, name: str) -> Request:
    headers = await site.api(await site.a_member())
    told = {"last_name": name, "first_name": "Zoé", "job_title": HOSTILE}
    await site.http.put("/api/directory/me/profile", json=told, headers=headers)
    sheet = a_sheet(name=f"Atelier {HOSTILE}")
    made = await site.http.post("/api/directory/companies", json=sheet, headers=headers)
    joined = await site.http.post(
        f"/api/directory/communities/{community}/memberships",
        json={
            "company_id": made.json()["id"],
            "answers": {HOSTILE: HOSTILE, "effectif": 12, "certifiée": True, "sites": ["A", "B"]},
        },
        headers=headers,
    )
    assert joined.json()["state"] == "pending", joined.text
    return Request(id=joined.json()["id"], name=f"Zoé {name}", headers=headers)


async def state(site: Site, request: Request) -> tuple[str, str | None]:
    [own] = (await site.http.get("/api/directory/me/memberships", headers=request.headers)).json()
    return own["state"], own["reason"]


async def test_an_animator_answers_and_is_told_what_was_answered_meanwhile(
    site: Site, page: Tab
) -> None:
    animator = await site.api(site.accounts["animator"])
    [community, *_] = (
        await site.http.get("/api/directory/me/managed-communities", headers=animator)
    ).json()
    first, second, third = [
        await asked(site, community["slug"], name=name) for name in ("Un", "Deux", HOSTILE)
    ]
    await sign_in(page, site.accounts["animator"])
    await page.go("/animation")
    await look(page, "Demandes d'adhésion")
    names = await page.page.locator(".queue h2").all_inner_texts()
    shown = [one for one in names if one in {first.name, second.name, third.name}]
    assert shown == [first.name, second.name, third.name]  # the oldest first

    await page.go(f"/animation/demandes/{first.id}/refus")
    await page.press("Refuser et envoyer le motif")
    await look(page, "Refuser cette demande ?", status=422)
    await page.fill(reason=f"Votre activité est ailleurs. {HOSTILE}")
    async with opened(page.page.context.browser, site.base, context=page.page.context) as other:  # type: ignore[arg-type]
        await other.go(f"/animation?communaute={community['slug']}")
        for answer in await sent_twice(site, other, f"/animation/demandes/{first.id}/accord"):
            assert answer.headers["location"].endswith("fait=adhesion-accordee")
    assert await state(site, first) == ("active", None)
    await page.press("Refuser et envoyer le motif")
    await look(page, "Cette demande a déjà reçu une réponse", status=409)
    await page.page.get_by_text("Adhésion accordée").wait_for()
    assert await state(site, first) == ("active", None)

    await page.page.get_by_role("link", name="Revenir aux demandes").click()
    await page.page.locator(f'form[action="/animation/demandes/{second.id}/accord"] button').click()
    assert page.path == f"/animation?communaute={community['slug']}&fait=adhesion-accordee"
    await page.go(f"/animation/demandes/{third.id}/refus")
    await page.fill(reason=HOSTILE)
    await page.press("Refuser et envoyer le motif")
    assert page.path.endswith("fait=adhesion-refusee")
    assert await state(site, third) == ("refused", HOSTILE)
    await page.go(f"/animation/communautes/{community['slug']}")
    await look(page, community["name"])


async def test_a_conseiller_answers_without_scripts_for_all_communities_of_the_chamber(
    site: Site, no_javascript_page: Tab
) -> None:
    tab = no_javascript_page
    agent = await site.api(site.accounts["agent"])
    managed = (await site.http.get("/api/directory/me/managed-communities", headers=agent)).json()
    waiting = await asked(site, managed[-1]["slug"], name="Quatre")
    await sign_in(tab, site.accounts["agent"])
    await tab.go("/animation")
    await look(tab, "Demandes d'adhésion", script=False)
    await tab.page.locator(f'form[action="/animation/demandes/{waiting.id}/accord"] button').click()
    assert tab.page.url.endswith("fait=adhesion-accordee")
    assert await state(site, waiting) == ("active", None)
