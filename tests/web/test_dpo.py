"""The DPO: erasures as they happen, a step that nobody proves, requests by time left; and the help."""

from uuid import uuid4

from tests.web.browser import Tab
from tests.web.conftest import PASSWORD, Site, sign_in
from tests.web.seeing import HOSTILE, look, sent_twice


async def test_an_erasure_waits_for_a_system_that_says_nothing_and_is_waived(
    site: Site, page: Tab
) -> None:
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
        erasure = gone.json()["erasure_id"]
        await sign_in(page, site.accounts["dpo"])
        await page.go(f"/effacements/{erasure}")
        waiting = page.page.get_by_text("Systèmes qui ont prouvé : 5 sur 6")
        await waiting.wait_for()  # the page follows by itself
        await look(page, "Effacement")
    finally:  # nobody else's erasure waits for it
        await site.http.delete(f"/api/privacy/participants/{name}", headers=operator)
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
