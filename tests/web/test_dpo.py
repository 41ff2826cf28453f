"""The DPO: erasures as they happen, a step that nobody proves, requests by time left; and the help."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from tests.web.browser import Tab
from tests.web.conftest import PASSWORD, Site, sign_in
from tests.web.seeing import HOSTILE, look, sent_twice


@asynccontextmanager
async def an_erasure_that_waits(site: Site) -> AsyncIterator[tuple[str, str]]:
    """The name of a system that never answers, and an erasure that waits for it."""
    operator = await site.api(site.accounts["operator"])
    name = f"muet-{uuid4().hex[:8]}"
    partner = {"name": name, "contact": "exploitation@muet.example", "deadline_days": 30}
    made = await site.http.post("/api/privacy/participants", json=partner, headers=operator)
    assert made.status_code == 201, made.text
    try:
        leaver = await site.api(await site.a_member())
        gone = await site.http.request(
            "DELETE", "/api/identity/me", json={"password": PASSWORD}, headers=leaver
        )
        yield name, gone.json()["erasure_id"]
    finally:  # nobody else's erasure waits for it
        await site.http.delete(f"/api/privacy/participants/{name}", headers=operator)


async def test_an_erasure_waits_for_a_system_that_says_nothing_and_is_waived(
    site: Site, page: Tab
) -> None:
    async with an_erasure_that_waits(site) as (name, erasure):
        await sign_in(page, site.accounts["dpo"])
        await page.go(f"/effacements/{erasure}")
        waiting = page.page.get_by_text("Systèmes qui ont prouvé : 5 sur 6")
        await waiting.wait_for()  # the page follows by itself
        await look(page, "Effacement")
    await page.go("/effacements")
    await look(page, "Effacements")
    await page.page.locator(f'a[href="/effacements/{erasure}"]').click()
    await page.page.get_by_role("link", name="Dispenser de preuve").click()
    title = f"Dispenser « Système partenaire « {name} » » de preuve ?"
    await look(page, title)
    await page.fill(reference=HOSTILE)
    await page.press("Dispenser de preuve")
    await look(page, title, status=422)
    await page.page.get_by_label("Aucune donnée de la personne").check()
    await page.page.get_by_label("Personne ne prouvera").check()
    await page.press("Dispenser de preuve")  # the number of a paper is no such text
    assert page.status == 422
    assert await page.page.locator("[name=reference]").input_value() == HOSTILE[:40]
    await page.fill(reference="DPO-2026-014")
    action = f"/effacements/{erasure}/systemes/{name}/dispense"
    for answer in await sent_twice(site, page, action):
        assert answer.headers["location"] == f"/effacements/{erasure}?fait=dispense"
    await page.go(f"/effacements/{erasure}")
    await page.page.get_by_text("Terminé le").wait_for()
    await look(page, "Effacement")
    await page.page.get_by_text("pièce DPO-2026-014", exact=False).wait_for()
    await page.go("/effacements?etat=termines")
    await look(page, "Effacements")
    await page.page.locator(f'a[href="/effacements/{erasure}"]').wait_for()
    await page.go("/effacements?etat=en-retard")
    await page.good()


async def test_an_erasure_is_followed_and_waived_without_scripts(
    site: Site, no_javascript_page: Tab
) -> None:
    tab = no_javascript_page
    async with an_erasure_that_waits(site) as (name, erasure):
        await sign_in(tab, site.accounts["dpo"])
        await tab.go("/effacements")
        await look(tab, "Effacements", script=False)
        await tab.page.locator(f'a[href="/effacements/{erasure}"]').click()
        for _ in range(60):
            if await tab.page.get_by_text("Systèmes qui ont prouvé : 5 sur 6").count():
                break
            await asyncio.sleep(0.5)
            await tab.page.reload()
        await look(tab, "Effacement", script=False)
    await tab.page.get_by_role("link", name="Dispenser de preuve").click()
    await tab.page.get_by_label("Aucune donnée de la personne").check()
    await tab.page.get_by_label("Personne ne prouvera").check()
    await tab.fill(reference="DPO-2026-015")
    await tab.press("Dispenser de preuve")
    assert tab.path == f"/effacements/{erasure}?fait=dispense"
    await look(tab, "Effacement", script=False)
    await (
        tab.page.get_by_text("Système partenaire", exact=False)
        .filter(has_text=name)
        .first.wait_for()
    )


async def test_a_request_for_a_right_is_answered(site: Site, page: Tab) -> None:
    tab = page
    person = await site.api(await site.a_member())
    asked = await site.http.post(
        "/api/privacy/me/rights-requests",
        json={"kind": "rectification", "message": f"Mon nom.\n{HOSTILE}"},
        headers=person,
    )
    request = f"/demandes-de-droits/{asked.json()['request_id']}"
    await sign_in(tab, site.accounts["dpo"])
    await tab.go("/demandes-de-droits")
    await look(tab, "Demandes de droits")
    await tab.page.locator(f'a[href="{request}"]').click()
    await look(tab, "Rectification")
    await tab.page.get_by_role("link", name="Prolonger").click()
    await tab.fill(text="Trois services doivent être interrogés.")
    await tab.press("Prolonger et prévenir")
    assert tab.path == f"{request}?fait=demande-traitee"
    assert await tab.page.get_by_role("link", name="Prolonger").count() == 0
    await tab.page.get_by_role("link", name="Répondre à la demande").click()
    await tab.page.get_by_label("Ce qui a été demandé est fait").check()
    await tab.press("Envoyer la réponse")
    await look(tab, "Répondre à la demande", status=422)
    await tab.fill(text=f"C'est corrigé. {HOSTILE}")
    await tab.press("Envoyer la réponse")
    await look(tab, "Rectification")
    assert await tab.page.get_by_role("link", name="Répondre à la demande").count() == 0
    await tab.go("/demandes-de-droits?etat=closes")
    await tab.page.locator(f'a[href="{request}"]').wait_for()


async def test_help_answers_without_an_account(page: Tab) -> None:
    await page.go("/aide")
    await look(page, "Aide")
    questions = await page.page.locator(".questions a").evaluate_all(
        "links => links.map(link => link.getAttribute('href'))"
    )
    for path in (*questions, "/accessibilite", "/mentions-legales"):
        await page.go(path)
        assert page.status == 200
        await page.good()
    await page.go("/aide/nulle-part")
    assert page.status == 404
