"""Notice, cookies, rights, newsletters, and what an account shows of itself."""

import asyncio
import random
import secrets
import time
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

from deploy.demo.identifiers import siret
from tests.web.browser import HEAVIEST, Tab, good_without_scripts, weight
from tests.web.conftest import Site, an_address, sign_in

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


async def a_member_of_a_community(site: Site) -> dict[str, str]:
    """With a company of their own, in a community that anybody may join."""
    account = await site.a_member()
    headers = await site.api(account)
    community = await an_open_community(site)
    sheet = {
        "siret": siret(random.Random(), index=secrets.randbelow(9_000_000), seed=9),
        "name": "Société d'essai",
        "address": {"street": "1 rue Haute", "postcode": "76000", "commune_code": "76540"},
        "phone": "+33235301234",
    }
    company = await _made(site, "companies", sheet, headers)
    joining = {"company_id": company["id"]}
    await _made(site, f"communities/{community['id']}/memberships", joining, headers)
    return account


async def an_open_community(site: Site) -> dict[str, Any]:
    """Anybody may join it."""
    community = {
        "slug": f"essai-{secrets.token_hex(4)}",
        "name": "Communauté d'essai",
        "cci": "cci-normandie",
        "open_joining": True,
    }
    operator = await site.api(site.accounts["operator"])
    return await _made(site, "communities", community, operator)


async def _made(site: Site, path: str, json: dict[str, Any], by: dict[str, str]) -> dict[str, Any]:
    answer = await site.http.post(f"/api/directory/{path}", json=json, headers=by)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def unsubscribe_link(site: Site, address: str) -> str:
    """As it stands in the mail that says that one is a member."""
    for _ in range(400):
        listed = (await site.http.get(f"{site.mail}/messages")).json()
        for one in listed:
            if address in one["to"]:
                text = (await site.http.get(f"{site.mail}/messages/{one['id']}")).json()["text"]
                for word in text.split():
                    if "/desabonnement?token=" in word:
                        return str(word).removeprefix(site.base)
        await asyncio.sleep(0.05)
    raise AssertionError("no mail with a way out")


async def test_the_notice_tells_what_the_services_declare(site: Site, page: Tab) -> None:
    assert await weight(page, "/donnees-personnelles") < HEAVIEST
    await page.good()
    declared = (await site.http.get("/api/privacy/notice")).json()
    told = (await page.page.get_by_role("main").inner_text()).replace("\u00a0", " ")
    for line in declared["processing"]:
        assert line["purpose"] in told
        assert not line["kept_under"] or line["kept_under"] in told
    assert f"Version {declared['version']}" in told
    for link in await page.page.locator(".contents a").all():
        target = await link.get_attribute("href") or ""
        assert await page.page.locator(target).count() == 1
    await page.page.get_by_role("link", name=f"Version {declared['version']}").click()
    assert page.path == f"/donnees-personnelles/versions/{declared['version']}"
    await page.good()
    await page.go("/donnees-personnelles/versions/2001-01")
    assert page.status == 404


async def test_who_agreed_to_an_older_notice_reads_what_changed_and_is_asked_again(
    site: Site, page: Tab
) -> None:
    database = site.platform.lines["privacy"]
    account = await site.a_member()
    me = await site.http.get("/api/identity/me", headers=await site.api(account))
    older = """
        INSERT INTO notice (version, notice_id, in_force_from, content)
        SELECT '2020-01', gen_random_uuid(), '2020-01-01',
            content || '{"conservation": ["Toujours"]}' FROM notice LIMIT 1
    """
    await database.execute(older)
    await site.platform.until(
        "UPDATE consent SET notice_version = '2020-01' WHERE person_id = $1 RETURNING true",
        UUID(me.json()["account_id"]),
    )
    try:
        await sign_in(page, account)
        await page.go("/tableau-de-bord")
        await page.page.get_by_role("link", name="Lire ce qui change et répondre").click()
        assert await page.h1() == "La notice a changé"
        await page.good()
        assert "Toujours" in await page.page.get_by_role("table").inner_text()
        await page.press("Je suis d'accord")
        await page.page.get_by_text("Votre accord est enregistré").wait_for()
        assert await page.page.locator("#bloc-notice").count() == 0
        await page.go("/mon-compte/notice")  # nothing is asked any more
        assert page.path.startswith("/donnees-personnelles/versions/")
    finally:
        await database.execute("DELETE FROM notice WHERE version = '2020-01'")


async def test_accepting_and_refusing_cookies_are_the_same_press(
    site: Site, no_javascript_page: Tab
) -> None:
    tab = no_javascript_page
    await tab.go("/connexion?suite=%2Ftableau-de-bord")
    strip = tab.page.get_by_role("region", name="Mesure d'audience")
    accept, refuse = (strip.get_by_role("button", name=name) for name in ("Accepter", "Refuser"))
    assert await accept.get_attribute("class") == await refuse.get_attribute("class")
    await refuse.click()
    assert tab.path == "/connexion?suite=%2Ftableau-de-bord&fait=cookies"
    assert await strip.count() == 0
    await tab.go("/cookies")
    await good_without_scripts(tab)
    assert "Vous avez refusé" in await tab.page.get_by_role("main").inner_text()
    await tab.press("Accepter la mesure d'audience")
    assert "Vous avez accepté" in await tab.page.get_by_role("main").inner_text()
    [kept] = [one for one in await tab.page.context.cookies() if one["name"] == "__Host-cookies"]
    assert kept["httpOnly"]
    assert 364 < (kept["expires"] - time.time()) / 86_400 < 366
    choice_id, said, _ = kept["value"].split(".")
    proof = (await site.http.get(f"/api/privacy/cookie-choices/{choice_id}")).json()
    assert (said, proof["audience"]) == ("oui", True)
    await tab.press("Refuser la mesure d'audience")
    proof = (await site.http.get(f"/api/privacy/cookie-choices/{choice_id}")).json()
    assert proof["withdrawn_at"]
    # Six months later the question is asked again; nonsense in the cookie is no answer.
    for value in (
        f"{choice_id}.non.{int(time.time()) - 1}",
        "n'importe.quoi",
        f"{choice_id}.non.x",
    ):
        await tab.page.context.add_cookies(
            [
                {
                    "name": kept["name"],
                    "value": value,
                    "domain": kept["domain"],
                    "path": "/",
                    "secure": True,
                    "httpOnly": True,
                }
            ]
        )
        await tab.go("/")
        assert await strip.count() == 1
    await good_without_scripts(tab)
    foreign = await site.http.post(
        "/cookies", data={"audience": "oui"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert foreign.status_code == 403
    elsewhere = await site.http.post(
        "/cookies",
        data={"audience": "non", "suite": "//ailleurs.example"},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    site.http.cookies.clear()
    assert elsewhere.headers["location"] == "/cookies?fait=cookies"


async def test_a_right_is_exercised_without_an_account_and_followed(site: Site, page: Tab) -> None:
    address = an_address()
    await page.go("/contact?droit=restriction")
    await page.good()
    await page.fill(email=HOSTILE, message=HOSTILE)
    await page.press("Envoyer ma demande")
    assert page.status == 422
    assert await page.page.locator("[name=message]").input_value() == HOSTILE
    assert await page.page.locator("main script, main img").count() == 0
    await page.good()
    await page.fill(email=address)
    await page.press("Envoyer ma demande")
    assert page.path == "/contact/message-envoye"
    await page.good()
    link = await site.mailed_link(address)
    for _ in range(2):  # following it does nothing yet
        await page.go(link)
        assert await page.h1() == "Confirmer ma demande"
    await page.good()
    await page.press("Confirmer ma demande")
    assert page.path == "/droits/suivi?nouveau=oui"
    await page.good()
    told = (await page.page.get_by_role("main").inner_text()).replace("\u00a0", " ")
    assert "Limitation du traitement" in told
    assert HOSTILE in told
    number, key = await page.page.locator(".reference dd").all_inner_texts()
    await page.press("Oublier cette demande sur cet appareil")
    await page.good()
    await page.fill(reference=number, key="une autre")
    await page.press("Voir où en est ma demande")
    assert page.status == 422
    await page.good()
    await page.fill(key=key)
    await page.press("Voir où en est ma demande")
    assert page.path == "/droits/suivi"
    await page.go(link)
    assert page.status == 410
    await page.good()


async def test_an_account_is_erased_by_the_form_once_its_owner_confirms(
    site: Site, no_javascript_page: Tab
) -> None:
    tab, account = no_javascript_page, await site.a_member()
    await tab.go("/contact?droit=erasure")
    await tab.fill(email=account["email"])
    await tab.press("Envoyer ma demande")
    await tab.go(await site.mailed_link(account["email"], count=2))
    assert "C'est définitif" in await tab.page.get_by_role("main").inner_text()
    await good_without_scripts(tab)
    await tab.press("Confirmer et tout effacer")
    assert "L'effacement a commencé" in await tab.page.get_by_role("main").inner_text()
    for _ in range(100):
        await sign_in(tab, account)
        if tab.status == 422:
            break
        await tab.page.context.clear_cookies()
        await asyncio.sleep(0.1)
    assert await tab.h1() == "Se connecter"


async def test_my_account_from_a_newsletter_to_the_copy(
    site: Site, page: Tab, tmp_path: Path
) -> None:
    account = await a_member_of_a_community(site)
    link = await unsubscribe_link(site, account["email"])
    for _ in range(2):
        await page.go(link)
        assert "Communauté d'essai" in await page.page.get_by_role("main").inner_text()
    await page.good()
    await page.press("Ne plus recevoir cette lettre")
    assert page.path == "/desabonnement/fait"
    await page.good()
    await page.go(link)
    assert "il n'y a rien à faire" in await page.page.get_by_role("main").inner_text()

    await sign_in(page, account)
    for path in ("/mon-compte", "/mon-compte/entreprises", "/mon-compte/communautes"):
        await page.go(path)
        await page.good()
    await page.go("/mon-compte/abonnements")
    await page.good()
    letter = page.page.get_by_label("Communauté d'essai")
    assert not await letter.is_checked()
    await letter.check()
    await page.page.get_by_label("Rythme des courriels").select_option("weekly")
    await page.press("Enregistrer mes choix")
    assert await letter.is_checked()
    assert await page.page.get_by_label("Rythme des courriels").input_value() == "weekly"
    await page.press("Tout refuser")
    assert not await letter.is_checked()

    headers = await site.api(account)  # another session
    await page.go("/mon-compte/connexion")
    await page.good()
    await page.press("Fermer toutes les autres")
    assert (await site.http.get("/api/identity/me", headers=headers)).status_code == 401
    await page.fill(password_current="pas le bon", password_new="Trois-Moulins-Verts-7")
    await page.press("Changer de mot de passe")
    assert page.status == 422
    await page.good()
    await page.fill(password_current=account["password"], password_new="Trois-Moulins-Verts-7")
    await page.press("Changer de mot de passe")
    assert page.path == "/mon-compte/connexion?fait=mot-de-passe-change"

    await page.go("/mon-compte/donnees")
    await page.good()
    await page.page.get_by_role("link", name="Voir chaque donnée").click()
    assert account["email"] in await page.page.get_by_role("main").inner_text()
    await page.good()
    await page.go("/mon-compte/demandes/nouvelle?droit=objection")
    await page.good()
    await page.fill(message=HOSTILE)
    await page.press("Envoyer ma demande")
    assert HOSTILE in await page.page.get_by_role("main").inner_text()
    await page.good()

    await page.go("/mon-compte/donnees")
    await page.press("Demander une copie")
    await page.page.wait_for_url("**/copies/*?nouveau=oui")
    key = await page.page.locator(".secret code").inner_text()
    for _ in range(100):
        if await page.page.get_by_role("button", name="Télécharger").count():
            break
        await asyncio.sleep(0.1)
        await page.page.reload()
    await page.good()
    await page.fill(key="A" * len(key))
    await page.press("Télécharger l'archive (ZIP)")
    assert page.status == 422
    await page.good()
    await page.fill(key=key)
    async with page.page.expect_download() as waiting:
        await page.page.get_by_role("button", name="Télécharger l'archive (ZIP)").click()
    await (await waiting.value).save_as(tmp_path / "copie.zip")
    assert "donnees.json" in "".join(zipfile.ZipFile(tmp_path / "copie.zip").namelist())

    for path, button, done in (
        ("communautes", "Quitter la communauté", "Vous n'êtes dans aucune communauté"),
        ("entreprises", "Ne plus agir pour elle", "Aucune entreprise"),
    ):
        await page.go(f"/mon-compte/{path}")
        await page.page.locator("main a[href$='/quitter']").click()
        await page.good()
        await page.press(button)
        assert page.path.startswith(f"/mon-compte/{path}?fait=")
        assert done in await page.page.get_by_role("main").inner_text()
        await page.good()
