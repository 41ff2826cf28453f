"""Being forgotten, as a person meets it: what goes and what stays, the password, the proof."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import Tab, good_without_scripts
from tests.web.conftest import Site, sign_in
from web.pages.leaving import entries

LEAVE = "Supprimer mon compte"
DONE = "Vos données sont effacées"


async def with_a_profile(site: Site) -> dict[str, str]:
    account = await site.a_member()
    answer = await site.http.put(
        "/api/directory/me/profile",
        json={"last_name": "Quesnel", "first_name": "Jeanne", "skills": ["soudure"]},
        headers=await site.api(account),
    )
    assert answer.status_code == 200, answer.text
    return account


async def tab_to(tab: Tab, selector: str) -> None:
    """Press Tab until it has the focus, as somebody without a mouse does."""
    wanted = tab.page.locator(selector)
    for _ in range(80):
        if await wanted.evaluate("one => one === document.activeElement"):
            return
        await tab.page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {selector}")


async def downloaded(tab: Tab, link: str, folder: Path) -> Path:
    async with tab.page.expect_download() as waiting:
        await tab.page.get_by_role("link", name=link).click()
    download = await waiting.value
    path = folder / download.suggested_filename
    await download.save_as(path)
    return path


def verified(site: Site, certificate: Path) -> dict[str, Any]:
    """By the command that anybody may run offline, with the keys as they were deployed."""
    keys = site.platform.layout.trust / "certificates.jwks.json"
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "verify", certificate, "--keys", keys, "--json"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["certificate"]
    return found


async def test_a_member_leaves_by_keyboard_and_keeps_the_proof(
    site: Site, page: Tab, tmp_path: Path
) -> None:
    account = await with_a_profile(site)
    await sign_in(page, account)
    await page.go("/mon-compte")
    await tab_to(page, "main a[href='/mon-compte/suppression']")
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_url("**/mon-compte/suppression")
    await page.good()
    told = await page.page.get_by_role("main").inner_text()
    for expected in (
        "Être connu des membres de ses communautés",
        "Nom, Prénom",
        "Prouver que l'effacement a été fait",
        "5 ans",
        "RGPD art. 5(2)",
    ):
        assert expected in told
    await tab_to(page, "main button")
    await page.page.keyboard.press("Enter")
    await page.page.get_by_role("alert").wait_for()
    assert page.status == 422
    await page.fill(password="ce n'est pas lui")
    await page.press(LEAVE)
    assert page.status == 422
    assert (await page.page.title()).startswith("Erreur : ")
    assert "Rien n'a été supprimé" in await page.page.get_by_role("alert").inner_text()
    await page.good()

    await tab_to(page, "[name=password]")
    await page.page.keyboard.type(account["password"])
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_url("**/mon-effacement?nouveau=oui")
    cookies = {one["name"]: one for one in await page.page.context.cookies()}
    assert "__Host-session" not in cookies
    assert cookies["__Host-erasure"]["httpOnly"]
    await page.page.get_by_role("heading", name=DONE).wait_for()  # it refreshes itself
    assert (await page.page.title()).startswith(DONE)
    await page.good()
    told = await page.page.get_by_role("main").inner_text()
    assert "Annuaire et communautés" in told
    assert "Sauvegardes des bases" in told

    reference = cookies["__Host-erasure"]["value"].partition(".")[0]
    for link in ("Télécharger le certificat (PDF)", "Le même pour un logiciel (JSON)"):
        certificate = verified(site, await downloaded(page, link, tmp_path))
        assert certificate["erasure_id"] == reference
        assert certificate["reason"] == "self_service"

    # No page of it is kept by the browser, and the account opens nothing any more.
    assert {one.headers["cache-control"] for one in page.documents} == {"no-store"}
    await page.go("/mon-compte/suppression")
    assert page.path.startswith("/connexion?suite=")
    await sign_in(page, account)
    assert page.status == 422


async def test_the_same_without_scripts_then_from_another_device(
    site: Site, no_javascript_page: Tab
) -> None:
    tab, account = no_javascript_page, await with_a_profile(site)
    await sign_in(tab, account)
    await tab.go("/mon-compte/suppression")
    await tab.fill(password=account["password"])
    await tab.press(LEAVE)
    assert tab.path == "/mon-effacement?nouveau=oui"
    await good_without_scripts(tab)
    await tab.page.go_back()
    assert tab.path == "/connexion?suite=%2Fmon-compte%2Fsuppression"
    await tab.page.go_forward()
    for _ in range(100):
        if await tab.h1() == DONE:
            break
        await tab.page.get_by_role("link", name="Actualiser", exact=True).click()
        await asyncio.sleep(0.1)
    assert await tab.h1() == DONE
    sheet = await tab.page.context.request.get("/mon-effacement/fiche.txt")
    told = dict(
        line.split(" : ", 1) for line in (await sheet.text()).split("\r\n") if " : " in line
    )

    await tab.press("Oublier ce suivi sur cet appareil")
    assert tab.path == "/mon-effacement?fait=suivi-oublie"
    await good_without_scripts(tab)
    await tab.fill(reference=told["Numéro"], key=told["Clé"][:-4] + "AAAA")
    await tab.press("Voir où en est l'effacement")
    assert tab.status == 422
    await good_without_scripts(tab)
    await tab.fill(reference="<script>", key='"><img src=x>')
    await tab.press("Voir où en est l'effacement")
    assert tab.status == 422
    assert await tab.page.locator("[name=reference]").input_value() == "<script>"
    await tab.fill(reference=told["Numéro"], key=told["Clé"])
    await tab.press("Voir où en est l'effacement")
    assert tab.path == "/mon-effacement"
    assert await tab.h1() == DONE


async def test_a_double_click_gets_the_key_that_is_given_once(site: Site, page: Tab) -> None:
    account = await site.a_member()
    await sign_in(page, account)
    await page.go("/mon-compte/suppression")
    fields = {
        name: await page.page.locator(f"main [name={name}]").input_value()
        for name in ("form_token", "form_key")
    }
    cookies = await page.page.context.cookies()
    headers = {
        "Sec-Fetch-Site": "same-origin",
        "Cookie": "; ".join(f"{one['name']}={one['value']}" for one in cookies),
    }
    answers = await asyncio.gather(
        *(
            site.http.post(
                "/mon-compte/suppression",
                data={**fields, "password": account["password"]},
                headers=headers,
            )
            for _ in range(2)
        )
    )
    assert [answer.status_code for answer in answers] == [303, 303]
    given = {answer.cookies["__Host-erasure"] for answer in answers}
    site.http.cookies.clear()
    assert len(given) == 1


@pytest.mark.parametrize(
    ("step", "state", "words"),
    [
        ({"participant": "identity"}, "now", "Efface et prépare sa preuve."),
        ({"participant": "crm", "escalated": 2}, "now", "Le délégué à la protection des données"),
        ({"participant": "crm", "outcome": "erased"}, "done", "confirme que tout est effacé"),
        (
            {
                "participant": "directory",
                "outcome": "erased",
                "counts": {"deleted": 2, "detached": 3, "kept": 1},
            },
            "done",
            "Enregistrements : 2\u00a0effacés, 3\u00a0rendus anonymes, 1\u00a0gardé.",
        ),
        (
            {
                "participant": "crm",
                "outcome": "waived",
                "waiver": {"reason": "system_gone", "waived_at": "2026-11-20T10:00:00Z"},
            },
            "refused",
            "ce système n'existe plus",
        ),
    ],
)
def test_every_state_of_a_step_is_said_in_words(
    step: dict[str, Any], state: str, words: str
) -> None:
    empty = {"outcome": None, "counts": None, "acknowledged_at": None, "escalated": 0}
    whole = {**empty, "waiver": None, **step}
    asked = {"requested_at": "2026-11-20T09:00:00Z", "completed_at": None, "steps": [whole]}
    [_, entry, last] = entries(asked)
    assert entry["state"] == state
    assert words in entry["text"]
    assert last["state"] == "waiting"
    if step["participant"] == "crm":
        assert entry["title"] == "Système partenaire « crm »"
