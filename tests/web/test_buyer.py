"""A consultation from the draft to the opened replies: the buyer in one browser, a member in another."""

from datetime import timedelta

from chassis import clock
from tests.web.browser import Tab, opened
from tests.web.conftest import Site, sign_in
from tests.web.seeing import HOSTILE, look, sent_twice

TITLE = f"Usinage {HOSTILE}"


async def drafted(site: Site, buyer: Tab, *, script: bool = True) -> str:
    """A draft, with what is wrong on the way; returns its address."""
    await buyer.go("/mes-consultations")
    await look(buyer, "Mes consultations", script=script)
    await buyer.page.get_by_role("link", name="Nouvelle consultation").click()
    await look(buyer, "Nouvelle consultation", script=script)
    await buyer.fill(title=TITLE, description=f"Douze vannes.\n\n{HOSTILE}")
    await buyer.page.get_by_label("Consultation hébergée ailleurs").check()
    await buyer.press("Enregistrer le brouillon")
    assert buyer.status == 422
    assert (await buyer.page.title()).startswith("Erreur : ")
    await look(buyer, "Nouvelle consultation", status=422, script=script)
    assert await buyer.page.locator("[name=title]").input_value() == TITLE
    links = await buyer.page.get_by_role("alert").get_by_role("link").all_inner_texts()
    assert "Choisissez au moins une communauté." in links
    assert "Donnez l'adresse de la consultation." in links
    member = await site.api(site.accounts["member"])
    own = (await site.http.get("/api/directory/me/memberships", headers=member)).json()
    community = next(one["community"] for one in own if one["state"] == "active")
    await buyer.page.get_by_label("Recherche de fournisseurs").check()
    await buyer.page.get_by_label(community["name"], exact=True).check()
    await buyer.page.get_by_label("Les visiteurs en voient").check()
    await buyer.fill(closes_on=f"{clock.now() + timedelta(days=9):%Y-%m-%d}", closes_time="18:30")
    await buyer.page.locator('[name="contact.name"]').fill(HOSTILE)
    answers = await sent_twice(site, buyer, "/mes-consultations/nouvelle")
    [address] = {answer.headers["location"].partition("?")[0] for answer in answers}
    await buyer.go(address)
    await look(buyer, TITLE, script=script)
    return address


async def test_a_consultation_is_written_published_answered_and_opened(
    site: Site, page: Tab, no_javascript_page: Tab
) -> None:
    async with opened(page.page.context.browser, site.base) as member:  # type: ignore[arg-type]
        await answered(site, page, member, no_javascript_page)


async def answered(site: Site, buyer: Tab, member: Tab, without_scripts: Tab) -> None:
    await sign_in(buyer, site.accounts["buyer"])
    call = await drafted(site, buyer)
    assert (await site.http.get(call)).status_code == 404  # a draft is nobody else's
    await buyer.page.get_by_role("link", name="Modifier").click()
    await look(buyer, "Modifier le brouillon")
    assert await buyer.page.locator("[name=closes_time]").input_value() == "18:30"
    await buyer.press("Enregistrer le brouillon")
    await buyer.page.get_by_role("link", name="Publier").click()
    await look(buyer, "Publier la consultation ?")
    await buyer.press("Publier")
    assert buyer.path == f"{call}?fait=consultation-publiee"
    await buyer.page.go_back()
    await buyer.page.reload()  # what was decided is not offered again
    assert buyer.path == call
    await buyer.go(f"{call}/modifier")
    assert buyer.path == call

    await member.go(call)  # a visitor: in brief
    await look(member, TITLE)
    assert "Douze vannes" not in await member.page.content()
    await sign_in(member, site.accounts["member"])
    assert member.path == "/tableau-de-bord"
    await member.go("/consultations")
    await look(member, "Consultations")
    await member.page.get_by_label("État").select_option("closes")
    await member.press("Filtrer")
    assert "etat=closes" in member.path
    await member.page.go_back()
    await member.page.locator(f'a[href="{call}"]').click()
    await look(member, TITLE)
    await member.page.get_by_text("Douze vannes.").wait_for()
    await member.page.get_by_role("link", name="Répondre").click()
    await member.press("Déposer la réponse")
    await look(member, "Répondre", status=422)
    await member.fill(message=f"Trois semaines.\n{HOSTILE}")
    await member.page.locator('[name="contact.email"]').fill("pas une adresse")
    await member.press("Déposer la réponse")
    assert member.status == 422
    assert "Trois semaines." in await member.page.locator("[name=message]").input_value()
    await member.page.locator('[name="contact.email"]').fill("offres@entreprise.example")
    for answer in await sent_twice(site, member, f"{call}/repondre"):
        assert answer.headers["location"] == f"{call}/reponse?fait=reponse"
    await member.go(f"{call}/reponse")
    await look(member, "Récépissé de réponse")
    assert await member.page.get_by_role("heading", level=2).count() == 1  # once

    await member.page.get_by_role("link", name="Retirer cette réponse").click()
    await look(member, "Retirer votre réponse ?")
    await sign_in(without_scripts, site.accounts["member"])
    await without_scripts.go(f"{call}/reponse")
    await without_scripts.page.get_by_role("link", name="Retirer cette réponse").click()
    await without_scripts.press("Retirer la réponse")
    assert without_scripts.path == f"{call}/reponse?fait=reponse-retiree"
    assert "Trois semaines" not in await without_scripts.page.content()
    await without_scripts.go(f"{call}/repondre")
    await without_scripts.fill(message=f"Deux semaines. {HOSTILE}")
    await without_scripts.press("Déposer la réponse")
    await look(without_scripts, "Récépissé de réponse", script=False)
    await member.press("Retirer la réponse")  # of the other tab: it was, and the new one stays
    assert member.path == f"{call}/reponse?fait=reponse-retiree"
    await member.go("/mes-reponses")
    await look(member, "Mes réponses")

    await buyer.go(f"{call}/reponses")
    await look(buyer, "Réponses reçues")
    assert "Deux semaines" not in await buyer.page.content()
    await buyer.go(f"{call}/annulation")
    await look(buyer, "Annuler la consultation ?")
    await buyer.go(f"{call}/cloture")
    await look(buyer, "Clore la consultation maintenant ?")
    await buyer.press("Clore maintenant")
    assert buyer.path == f"{call}/reponses?fait=consultation-close"
    await look(buyer, "Réponses reçues")
    await buyer.page.get_by_text("Deux semaines.").wait_for()
    await member.go(f"{call}/repondre")  # closed meanwhile
    assert member.path == call
    await look(member, TITLE)


async def replied(site: Site, call: str, message: str) -> None:
    """As the demo member, with every company that may; what the pages show is looked at above."""
    member = await site.api(site.accounts["member"])
    own = (await site.http.get("/api/directory/me/memberships", headers=member)).json()
    company = next(one["company"]["id"] for one in own if one["state"] == "active")
    answer = await site.http.post(
        f"/api/consultations{call}/replies",
        json={"company_id": company, "message": message},
        headers=member,
    )
    assert answer.status_code == 201, answer.text


async def test_a_buyer_does_everything_without_scripts(site: Site, no_javascript_page: Tab) -> None:
    buyer = no_javascript_page
    await sign_in(buyer, site.accounts["buyer"])
    call = await drafted(site, buyer, script=False)
    await buyer.page.get_by_role("link", name="Modifier").click()
    await look(buyer, "Modifier le brouillon", script=False)
    await buyer.fill(closes_on="2001-01-01")
    await buyer.press("Enregistrer le brouillon")
    await look(buyer, "Modifier le brouillon", status=422, script=False)
    assert await buyer.page.locator("[name=closes_on]").input_value() == "2001-01-01"
    await buyer.fill(
        title="Vannes papillon",
        closes_on=f"{clock.now() + timedelta(days=20):%Y-%m-%d}",
    )
    await buyer.press("Enregistrer le brouillon")
    assert buyer.path == f"{call}?fait=brouillon"
    await look(buyer, "Vannes papillon", script=False)
    await buyer.page.get_by_role("link", name="Publier").click()
    await look(buyer, "Publier la consultation ?", script=False)
    for answer in await sent_twice(site, buyer, f"{call}/publication"):
        assert answer.headers["location"].partition("?")[0] == call
    await buyer.go(call)
    await look(buyer, "Vannes papillon", script=False)

    await replied(site, call, f"Trois semaines.\n{HOSTILE}")
    await buyer.go("/mes-consultations")
    await buyer.page.get_by_label("État").select_option("ouvertes")
    await buyer.press("Filtrer")
    await look(buyer, "Mes consultations", script=False)
    await buyer.page.locator(f'a[href="{call}"]').click()
    await buyer.page.get_by_text("1 réponse reçue").wait_for()
    await buyer.go(f"{call}/reponses")  # sealed
    await look(buyer, "Réponses reçues", script=False)
    assert "Trois semaines" not in await buyer.page.content()
    await buyer.page.get_by_role("link", name="Revenir à la consultation").click()
    await buyer.page.get_by_role("link", name="Clore maintenant").click()
    await look(buyer, "Clore la consultation maintenant ?", script=False)
    await buyer.press("Clore maintenant")
    assert buyer.path == f"{call}/reponses?fait=consultation-close"
    await look(buyer, "Réponses reçues", script=False)
    await buyer.page.get_by_text("Trois semaines.").wait_for()
    await buyer.page.locator("article h2 a").click()  # who replied: the sheet of the company
    assert buyer.page.url.startswith(f"{site.base}/entreprises/")
    assert buyer.status == 200


async def test_a_buyer_gives_up_without_scripts(site: Site, no_javascript_page: Tab) -> None:
    buyer = no_javascript_page
    await sign_in(buyer, site.accounts["buyer"])
    call = await drafted(site, buyer, script=False)
    await buyer.page.get_by_role("link", name="Supprimer le brouillon").click()
    await look(buyer, "Supprimer le brouillon ?", script=False)
    await buyer.press("Supprimer le brouillon")
    assert buyer.path == "/mes-consultations?fait=brouillon-supprime"
    await buyer.go(call)
    assert buyer.status == 404

    call = await drafted(site, buyer, script=False)
    await buyer.go(f"{call}/publication")
    await buyer.press("Publier")
    await replied(site, call, "Trop tard.")
    await buyer.page.get_by_role("link", name="Annuler la consultation").click()
    await look(buyer, "Annuler la consultation ?", script=False)
    await buyer.press("Annuler la consultation")
    assert buyer.path == f"{call}?fait=consultation-annulee"
    await look(buyer, TITLE, script=False)
    await buyer.go(f"{call}/reponses")
    await look(buyer, "Réponses reçues", script=False)
    assert "Trop tard" not in await buyer.page.content()


async def test_who_buys_nothing_is_told_so(site: Site, no_javascript_page: Tab) -> None:
    tab = no_javascript_page
    await sign_in(tab, await site.a_member())
    await tab.go("/mes-consultations/nouvelle")
    assert tab.status == 200
    await tab.page.get_by_text("Il faut d'abord une entreprise").wait_for()
    for path in ("/animation", "/effacements", "/demandes-de-droits"):
        await tab.go(path)
        assert tab.status == 403
