"""From the first page to the dashboard and out again, with and without scripts."""

import pytest

from tests.web.browser import Tab
from tests.web.conftest import PASSWORD, Site, an_address, sign_in

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


async def joined(site: Site, tab: Tab, *, closely: bool) -> None:
    """`closely`: look at every page and state on the way."""

    async def look(title: str) -> None:
        assert await tab.h1() == title
        if closely:
            await tab.good()

    email = an_address()
    await tab.go("/")
    await look("Les entreprises d'un territoire se trouvent ici")
    await tab.page.get_by_role("main").get_by_role("link", name="Créer un compte").click()
    await look("Créer un compte")
    await tab.press("Créer mon compte")
    assert tab.status == 422
    assert (await tab.page.title()).startswith("Erreur : ")
    focused = await tab.page.evaluate("document.activeElement.id")
    assert focused == "erreurs"
    await look("Créer un compte")
    await tab.page.get_by_role("alert").get_by_role("link").first.click()
    assert await tab.page.evaluate("document.activeElement.name") == "email"
    await tab.fill(email=email, password="azertyuiop")
    await tab.page.locator("[name=consent]").check()
    await tab.press("Créer mon compte")
    # What is wrong stands at its field; what was typed is still there, but for the password.
    field = tab.page.locator("[name=password]")
    wrong = await field.get_attribute("aria-describedby") or ""
    assert "trop" in await tab.page.locator(f"#{wrong.split()[-1]}").inner_text()
    assert await field.input_value() == ""
    assert await tab.page.locator("[name=email]").input_value() == email
    assert await tab.page.locator("[name=consent]").is_checked()
    await tab.fill(password=PASSWORD)
    await tab.page.get_by_role("button", name="Créer mon compte").dblclick()
    await tab.page.wait_for_url("**/inscription/message-envoye")
    await look("Consultez votre messagerie")

    link = await site.mailed_link(email)
    await tab.go(link)  # following the link does nothing yet: programs do that, too
    await look("Confirmer mon adresse")
    await sign_in(tab, {"email": email, "password": PASSWORD})
    assert tab.status == 422
    await look("Se connecter")
    await tab.go(link)
    await tab.press("Confirmer mon adresse")
    assert tab.path == "/connexion?suite=/inscription/suite&fait=confirmation"
    await look("Se connecter")
    await tab.fill(email=email, password=PASSWORD)
    await tab.press("Se connecter")
    assert tab.path == "/inscription/profil"
    await tab.page.get_by_role("link", name="Tableau de bord").click()
    await look("Tableau de bord")
    assert len(await site.mails(email)) == 1
    await tab.page.get_by_role("heading", name="Pour commencer").wait_for()

    await tab.page.get_by_role("button", name="Se déconnecter").click()
    assert tab.path == "/?fait=deconnexion"
    assert await tab.page.get_by_role("status").inner_text() == "Vous êtes déconnecté."
    await tab.page.go_back()
    await tab.page.wait_for_url("**/connexion?suite=**")
    assert "Pour commencer" not in await tab.page.content()
    await tab.go(link)  # it serves once
    await tab.press("Confirmer mon adresse")
    assert tab.status == 410
    await look("Ce lien n'est plus valable")


async def test_joining_and_leaving_the_session(site: Site, page: Tab) -> None:
    await joined(site, page, closely=True)


async def test_the_same_without_scripts(site: Site, no_javascript_page: Tab) -> None:
    await joined(site, no_javascript_page, closely=False)


async def test_a_forgotten_password_is_replaced(site: Site, page: Tab) -> None:
    account = await site.a_member()
    await page.go("/mot-de-passe/oubli")
    await page.good()
    await page.fill(email="pas une adresse")
    await page.press("Recevoir le lien")
    assert page.status == 422
    await page.good()
    await page.fill(email=account["email"])
    await page.press("Recevoir le lien")
    assert page.path == "/mot-de-passe/message-envoye"
    await page.good()
    await page.go(await site.mailed_link(account["email"], count=2))
    await page.fill(password="court")
    await page.press("Enregistrer")
    assert page.status == 422
    await page.good()
    await page.fill(password="Trois-Moulins-Verts-7")
    await page.press("Enregistrer")
    assert page.path == "/connexion?fait=mot-de-passe"
    await sign_in(page, account)
    assert page.status == 422
    await sign_in(page, {**account, "password": "Trois-Moulins-Verts-7"})
    assert page.path == "/tableau-de-bord"


@pytest.mark.parametrize("path", ["/connexion", "/inscription", "/mot-de-passe/oubli"])
async def test_hostile_text_is_text(page: Tab, path: str) -> None:
    asked: list[str] = []
    page.page.on("dialog", lambda dialog: asked.append(dialog.message))
    await page.go(f"{path}?suite={HOSTILE}&fait={HOSTILE}&token={HOSTILE}")
    await page.fill(email=HOSTILE)
    if path != "/mot-de-passe/oubli":
        await page.fill(password=HOSTILE)
    await page.page.get_by_role("main").get_by_role("button").click()
    assert page.status == 422
    assert await page.page.locator("[name=email]").input_value() == HOSTILE
    assert await page.page.locator("main script, main img").count() == 0
    assert asked == []
    await page.good()


async def test_each_kind_of_person_sees_their_menu(site: Site, page: Tab) -> None:
    for role, block in ("animator", "Demandes d'adhésion"), ("dpo", None):
        await page.page.context.clear_cookies()
        await sign_in(page, site.accounts[role])
        assert await page.h1() == "Tableau de bord"
        headings = await page.page.get_by_role("heading", level=2).all_inner_texts()
        assert (block in headings) == (block is not None)
        await page.good()
