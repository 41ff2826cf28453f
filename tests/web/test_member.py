"""A new member: from the account to a community and its directory, with and without scripts."""

import asyncio
import io
from typing import Any

from PIL import Image

from tests.directory.town import a_siret
from tests.web.browser import Tab, good_without_scripts, opened
from tests.web.conftest import PASSWORD, Site, an_address, sign_in

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


def a_picture() -> dict[str, Any]:
    content = io.BytesIO()
    Image.new("RGB", (60, 40), (15, 90, 80)).save(content, "PNG")
    return {"name": "moi.png", "mimeType": "image/png", "buffer": content.getvalue()}


async def inert(tab: Tab) -> None:
    """What somebody typed is shown as it is, and does nothing."""
    assert await tab.page.locator("main script, main img[onerror]").count() == 0
    assert "49" not in await tab.page.locator("h1").inner_text()


async def joined(site: Site, tab: Tab, *, scripts: bool) -> None:
    async def look(title: str) -> None:
        assert await tab.h1() == title, tab.path
        await inert(tab)
        await (tab.good() if scripts else good_without_scripts(tab))

    account = await site.a_member()
    await sign_in(tab, account)
    await tab.page.get_by_role("link", name="Votre profil").click()
    await look("Votre profil")

    # --- profile ---
    await tab.press("Enregistrer et continuer")
    assert (await tab.page.title()).startswith("Erreur : ")
    await tab.fill(first_name="Ada", last_name=HOSTILE, about=HOSTILE, phone="pas un numéro")
    await tab.fill(skills="soudure\nsoudure, achats")
    await tab.press("Enregistrer et continuer")
    assert tab.status == 422
    assert await tab.page.locator("[name=last_name]").input_value() == HOSTILE
    await look("Votre profil")
    await tab.fill(phone="02 35 11 22 33")
    await tab.page.locator("[name=photo]").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": b"pas une image"}
    )
    await tab.press("Enregistrer et continuer")
    assert tab.status == 422
    assert "JPEG" in await tab.page.locator("#champ-photo-erreur").inner_text()
    await tab.page.locator("[name=photo]").set_input_files(a_picture())
    await tab.press("Enregistrer et continuer")
    assert tab.path == "/inscription/entreprise?fait=profil"

    # --- company ---
    await tab.fill(siret=HOSTILE)
    await tab.press("Continuer")
    assert tab.status == 422
    await look("Votre entreprise")
    siret = a_siret()
    await tab.fill(siret=f"{siret[:9]} {siret[9:]}")
    await tab.press("Continuer")
    await tab.press("Enregistrer et continuer")
    assert tab.status == 422
    page = tab.page
    await tab.fill(name=HOSTILE, phone="0235112233", activity=HOSTILE)
    await page.locator("[name='address.street']").fill("12 rue du Port")
    await page.locator("[name='address.postcode']").fill("76560")
    await tab.fill(naf="boulangerie")
    if scripts:  # the communes are there before anything is sent
        await page.locator("[name=naf]").blur()
        await page.locator("select[name='address.commune_code']").wait_for()
        await page.locator("select[name=naf_choice]").wait_for()
    else:
        await tab.press("Enregistrer et continuer")
        assert tab.status == 422
    await look("La fiche de votre entreprise")
    await page.locator("[name='address.commune_code']").select_option(label="Doudeville")
    await page.locator("[name=naf_choice]").select_option(value="10.71C")
    await page.get_by_role("button", name="Enregistrer et continuer").dblclick()
    await page.wait_for_url("**/inscription/communaute?fait=entreprise")
    await look("Votre communauté")

    # --- community ---
    headers = await site.api(site.accounts["animator"])
    managed = await site.http.get("/api/directory/me/managed-communities", headers=headers)
    slug = managed.json()[0]["slug"]
    await tab.go("/tableau-de-bord")  # leaving and coming back
    await page.get_by_role("link", name="Votre communauté").click()
    await page.locator(f"a[href='/communautes/{slug}/rejoindre']").click()
    await page.wait_for_url(f"**/communautes/{slug}/rejoindre")
    await look(f"Rejoindre {managed.json()[0]['name']}")
    assert await page.get_by_role("table").get_by_text("animateurs").count()
    await page.get_by_label("Je ne veux pas la recevoir").check()
    await page.get_by_role("button", name="Envoyer ma demande").dblclick()
    await page.wait_for_url("**/inscription/termine")
    await look("Votre demande est envoyée")
    await tab.go("/annuaire")
    await page.get_by_text("L'annuaire est réservé aux membres").wait_for()
    await tab.go(f"/communautes/{slug}")
    await look(managed.json()[0]["name"])

    # --- and once each, as the interface has it ---
    own = await site.api(account)
    [company] = (await site.http.get("/api/directory/me/companies", headers=own)).json()
    assert (company["siret"], company["name"]) == (siret, HOSTILE)
    [membership] = (await site.http.get("/api/directory/me/memberships", headers=own)).json()
    assert membership["state"] == "pending"
    decided = await site.http.post(
        f"/api/directory/memberships/{membership['id']}/decision",
        json={"grant": True},
        headers=headers,
    )
    assert decided.status_code == 200, decided.text
    for _ in range(200):
        told = await site.http.get("/api/notifications/me/subscriptions", headers=own)
        if told.json():
            break
        await asyncio.sleep(0.05)
    assert [one["subscribed"] for one in told.json()] == [False]
    await tab.go("/inscription/termine")
    await look("Vous êtes membre")
    await tab.go(f"/entreprises/{company['id']}")
    await look(HOSTILE)
    await page.get_by_role("link", name=HOSTILE).click()  # themself, among the people
    await page.wait_for_url("**/personnes/*")
    await look(f"Ada {HOSTILE}")
    assert await page.evaluate("document.querySelector('.portrait').naturalWidth") == 512
    await tab.go("/mon-compte/profil")
    await page.get_by_label("Retirer cette photo").check()
    await tab.press("Enregistrer")
    assert await page.locator(".portrait").count() == 0
    assert await page.locator("[name=skills]").input_value() == "soudure\nachats"


async def test_a_new_member_joins(site: Site, page: Tab) -> None:
    await joined(site, page, scripts=True)


async def test_a_new_member_joins_without_scripts(site: Site, no_javascript_page: Tab) -> None:
    await joined(site, no_javascript_page, scripts=False)


async def test_signing_up_by_the_keyboard_alone(site: Site, page: Tab) -> None:
    keys, email = page.page.keyboard, an_address()

    async def reach(selector: str) -> None:
        for _ in range(30):
            await keys.press("Tab")
            if await page.page.evaluate("s => document.activeElement.matches(s)", selector):
                ring = await page.page.evaluate(
                    "getComputedStyle(document.activeElement).outlineStyle"
                )
                assert ring != "none", selector
                return
        raise AssertionError(f"{selector} cannot be reached at {page.path}")

    async def write(**fields: str) -> None:
        for name, text in fields.items():
            await reach(f"[name={name}]")
            await keys.type(text)

    await page.go("/")
    await keys.press("Tab")
    await keys.press("Enter")  # the skip link
    await reach("[href='/inscription']")
    await keys.press("Enter")
    await page.page.wait_for_url("**/inscription")
    await write(email=email, password=PASSWORD)
    await reach("[name=consent]")
    await keys.press("Space")
    await keys.press("Enter")
    await page.page.wait_for_url("**/message-envoye")
    await page.go(await site.mailed_link(email))
    await reach("main button")
    await keys.press("Enter")
    await page.page.wait_for_url("**/connexion?**")
    await write(email=email, password=PASSWORD)
    await keys.press("Enter")
    await page.page.wait_for_url("**/inscription/profil")
    await write(first_name="Ada", last_name="Lemaître")
    await keys.press("Enter")
    await page.page.wait_for_url("**/inscription/entreprise?**")
    await write(siret=a_siret())
    await keys.press("Enter")
    await page.page.wait_for_url("**/inscription/entreprise/fiche?**")


async def test_a_colleague_asks_and_two_tabs_edit(site: Site, page: Tab) -> None:
    owner = site.accounts["member"]
    headers = await site.api(owner)
    companies = (await site.http.get("/api/directory/me/companies", headers=headers)).json()
    company = next(one for one in companies if one["role"] == "administrator")
    await sign_in(page, await site.a_member())
    await page.go(f"/inscription/entreprise/fiche?siret={company['siret']}")
    assert await page.h1() == "Votre entreprise est déjà là"
    await page.good()
    await page.press("Demander mon rattachement")
    await page.good()
    await page.page.get_by_text("en attente").wait_for()
    await page.go("/inscription/communaute")
    await page.good()
    await page.page.context.clear_cookies()

    await sign_in(page, owner)
    await page.go(f"/entreprises/{company['id']}")
    await page.good()
    await page.press("Accepter Sans profil")
    await page.page.get_by_role("status").first.wait_for()
    await page.page.get_by_role("link", name="Modifier la fiche").click()
    await page.good()
    async with opened(page.page.context.browser, site.base, context=page.page.context) as other:  # type: ignore[arg-type]
        await other.go(f"/entreprises/{company['id']}/modifier")
        await other.fill(activity="Usinage de précision")
        await other.press("Enregistrer")
        assert other.path == f"/entreprises/{company['id']}?fait=fiche"
    await page.fill(activity="Usinage de grande série")
    await page.press("Enregistrer")
    assert page.status == 422
    assert "entre-temps" in await page.page.get_by_role("alert").inner_text()
    assert await page.page.locator("[name=activity]").input_value() == "Usinage de grande série"
    await page.press("Enregistrer")
    await page.page.get_by_text("Usinage de grande série").wait_for()


async def found(tab: Tab) -> str:
    return " ".join((await tab.page.locator("#trouve").inner_text()).split())


async def test_the_directory_is_searched(site: Site, page: Tab, no_javascript_page: Tab) -> None:
    for tab in (page, no_javascript_page):
        scripts = tab is page
        await sign_in(tab, site.accounts["member"])
        await tab.go("/annuaire")
        everybody = await found(tab)
        box = tab.page.locator("#filtres input").first
        await box.check()
        if not scripts:
            await tab.press("Appliquer")
        await tab.page.wait_for_url("**community=*")
        [chip] = await tab.page.locator(".chips a").all()
        assert await box.is_checked()
        if scripts:
            await tab.good()
            name = await box.get_attribute("id")
            assert await tab.page.evaluate("document.activeElement.id") == name
        narrowed = await found(tab)
        await chip.click()
        await tab.page.wait_for_url("**/annuaire?**")
        assert await found(tab) == everybody
        await tab.page.go_back()
        await tab.page.locator(".chips a").wait_for()
        assert await found(tab) == narrowed
        await tab.go("/annuaire")
        await tab.fill(q=HOSTILE, place="Bastia")  # far from the company that has this name
        await tab.press("Chercher")
        await tab.page.locator(".chips a").nth(2).wait_for()  # word, place, all of them
        await tab.page.get_by_text("Aucune entreprise ne correspond").wait_for()
        await inert(tab)
        if scripts:
            await tab.good()
        await tab.go("/annuaire?place=nulle+part&distance=0&department=76&department=%3Cb%3E")
        await inert(tab)
    await page.go("/annuaire?place=Rouen&distance=200")
    await page.page.locator(".results a").first.click()
    await page.page.wait_for_url("**/entreprises/*")
    await page.good()
    await page.go("/communautes")
    await page.good()
