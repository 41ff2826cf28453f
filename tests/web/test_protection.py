"""What keeps a session with its person: cookies, headers, where forms come from, where links lead."""

import asyncio
import time
from http.cookies import SimpleCookie
from pathlib import Path

import httpx2
import pytest
from asgi_lifespan import LifespanManager

from tests.web.browser import HEAVIEST, Tab, opened, weight
from tests.web.conftest import Site, sign_in
from web.main import create_app
from web.sessions import KEPT_FOR_S, local_path
from web.settings import Settings

HERE = {"Sec-Fetch-Site": "same-origin"}


async def test_headers_allow_nothing_foreign_and_nothing_inline(site: Site) -> None:
    for path in ("/", "/connexion", "/nulle-part", "/static/nulle-part.css"):
        headers = (await site.http.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert "server" not in headers
    assert (await site.http.get("/connexion")).headers["cache-control"] == "no-store"
    home = await site.http.get("/")
    assert home.headers["cache-control"] == "private, no-cache"
    assert "set-cookie" not in home.headers  # who only looks is given nothing
    style = home.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert "immutable" in (await site.http.get(style)).headers["cache-control"]
    assert (await site.http.head("/")).status_code == 200
    problem = await site.http.get("/api/nulle-part")
    assert problem.json()["type"] == "urn:ccib:problem:not-found"
    for path in ("/health/ready", "/metrics", "/internal/x", "/openapi.json", "/docs"):
        assert (await site.http.get(path)).status_code == 404


async def test_cookies_are_opaque_and_of_this_host_alone(site: Site, page: Tab) -> None:
    await sign_in(page, site.accounts["member"])
    cookies = {one["name"]: one for one in await page.page.context.cookies()}
    assert cookies.keys() == {"__Host-session", "__Host-form"}
    for cookie in cookies.values():
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
        assert (cookie["path"], cookie["expires"]) == ("/", -1)
        assert "." not in cookie["value"]  # no token
    document = page.documents[-1]
    assert document.headers["cache-control"] == "no-store"
    assert "eyJ" not in await document.text()
    # The secret opens nothing by itself.
    for headers in (
        {"Cookie": f"__Host-session={cookies['__Host-session']['value']}"},
        {"Authorization": f"Bearer {cookies['__Host-session']['value']}"},
    ):
        assert (await site.http.get("/api/identity/me", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://ailleurs.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Referer": "https://ailleurs.example/connexion"}, 403),
        ({}, 403),
        (HERE, 400),  # without a cookie
        ({**HERE, "Cookie": "__Host-form=un-autre"}, 403),  # without the token of that cookie
    ],
)
async def test_a_form_from_elsewhere_is_refused(
    site: Site, headers: dict[str, str], status: int
) -> None:
    answer = await site.http.post("/connexion", data={**site.accounts["member"]}, headers=headers)
    assert answer.status_code == status
    assert "__Host-session" not in answer.headers.get("set-cookie", "")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://ailleurs.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Referer": "https://ailleurs.example/"}, 403),
        ({}, 403),
        (HERE, 303),
    ],
)
async def test_nobody_answers_about_cookies_for_a_visitor(
    site: Site, headers: dict[str, str], status: int
) -> None:
    """The one form without a token: a token would need a cookie before there is an answer."""
    answer = await site.http.post("/cookies", data={"audience": "non"}, headers=headers)
    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) == (status == 303)


async def test_a_token_is_good_for_its_own_browser_only(site: Site) -> None:
    tokens, cookies = [], []
    for _ in range(2):
        form = await site.http.get("/connexion")
        tokens.append(form.text.partition('name="form_token" value="')[2].partition('"')[0])
        cookies.append(SimpleCookie(form.headers["set-cookie"])["__Host-form"].value)
        site.http.cookies.clear()
    for token, cookie, status in (
        (tokens[0], cookies[0], 303),
        (tokens[0], cookies[1], 403),
        (tokens[0][:-1], cookies[0], 403),
        ("é", cookies[0], 403),
    ):
        answer = await site.http.post(
            "/connexion",
            data={**site.accounts["member"], "form_token": token},
            headers={"Origin": site.base, "Cookie": f"__Host-form={cookie}"},
        )
        site.http.cookies.clear()
        assert answer.status_code == status


async def test_a_browser_that_keeps_no_cookie_is_told(page: Tab) -> None:
    await page.go("/mot-de-passe/oubli")
    await page.fill(email="quelqu.un@entreprise.example")
    await page.page.context.clear_cookies()
    await page.press("Recevoir le lien")
    assert page.status == 400
    assert await page.h1() == "Votre navigateur refuse les cookies"
    await page.good()
    assert await page.page.get_by_role("link", name="Rouvrez la page").get_attribute("href") == (
        "/mot-de-passe/oubli"
    )


async def test_a_form_of_another_session_is_offered_again_and_nothing_is_lost(
    site: Site, page: Tab
) -> None:
    account = await site.a_member()
    await page.go("/mot-de-passe/oubli")
    await page.fill(email=account["email"])
    async with opened(page.page.context.browser, site.base, context=page.page.context) as other:  # type: ignore[arg-type]
        await sign_in(other, site.accounts["member"])
        await page.press("Recevoir le lien")
        assert page.status == 403
        assert await page.h1() == "Vérifiez et envoyez à nouveau"
        await page.good()
        await page.press("Envoyer")
        assert page.path == "/mot-de-passe/message-envoye"
        await site.mailed_link(account["email"], count=2)


async def test_signing_out_in_one_tab_is_signing_out_in_all(site: Site, page: Tab) -> None:
    await sign_in(page, site.accounts["member"])
    async with opened(page.page.context.browser, site.base, context=page.page.context) as other:  # type: ignore[arg-type]
        await other.go("/tableau-de-bord")
        await page.page.get_by_role("button", name="Se déconnecter").click()
        await other.page.reload()
        assert other.path == "/connexion?suite=%2Ftableau-de-bord"


async def test_a_session_that_was_ended_on_another_device_shows_nothing_more(
    site: Site, page: Tab
) -> None:
    account = await site.a_member()
    await sign_in(page, account)
    elsewhere = await site.api(account)
    opened = (await site.http.get("/api/identity/me/sessions", headers=elsewhere)).json()
    for one in opened:
        if not one["current"]:
            path = f"/api/identity/me/sessions/{one['id']}"
            assert (await site.http.delete(path, headers=elsewhere)).status_code == 204
    ended = time.monotonic()
    await page.go("/mon-compte")
    while page.path == "/mon-compte":
        assert time.monotonic() - ended < KEPT_FOR_S + 2
        await asyncio.sleep(0.5)
        await page.go("/mon-compte")
    assert page.path == "/connexion?suite=%2Fmon-compte"
    await page.page.go_back()
    assert account["email"] not in await page.page.content()


@pytest.mark.parametrize(
    "suite",
    [
        "https://ailleurs.example/",
        "//ailleurs.example",
        "/\\ailleurs.example",
        "/\t/ailleurs.example",
        "javascript:alert(1)",
        "ailleurs",
        "",
        "/api/identity/me",
        "/%0d%0aLocation:%20//ailleurs.example\r\n",
    ],
)
def test_after_signing_in_nobody_is_led_elsewhere(suite: str) -> None:
    assert local_path(suite) == "/tableau-de-bord"


async def test_a_page_that_asks_for_an_account_comes_back_to_itself(site: Site, page: Tab) -> None:
    await page.go("/tableau-de-bord?x=1")
    assert page.path == "/connexion?suite=%2Ftableau-de-bord%3Fx%3D1"
    await page.fill(**site.accounts["member"])
    await page.press("Se connecter")
    assert page.path == "/tableau-de-bord?x=1"
    await page.go("/connexion?suite=//ailleurs.example")
    assert page.path == "/tableau-de-bord"


async def test_a_first_visit_is_light(page: Tab) -> None:
    assert await weight(page, "/") < HEAVIEST


async def test_what_is_not_there_and_what_is_away_has_a_page(
    site: Site, page: Tab, tmp_path: Path
) -> None:
    await page.go("/nulle-part")
    assert page.status == 404
    await page.good()
    for name in ("client_secret", "forms.key"):
        (tmp_path / name).write_text("secret")
    app = create_app(
        Settings(gateway_url="http://127.0.0.1:9", public_url=site.base, secrets_dir=tmp_path)
    )
    transport = httpx2.ASGITransport(app=app)
    async with (
        LifespanManager(app),
        httpx2.AsyncClient(transport=transport, base_url=site.base) as visitor,
    ):
        home = await visitor.get("/")
        assert home.status_code == 200
        assert "ne peut pas être affichée en ce moment" in home.text
        for path in ("/inscription", "/tableau-de-bord"):
            away = await visitor.get(path, headers={"Cookie": "__Host-session=quelque-chose"})
            assert (away.status_code, away.headers["retry-after"]) == (503, "10")
            assert "<h1>Un service ne répond pas</h1>" in away.text
        assert (await visitor.get("/health/live")).status_code == 200
        assert (await visitor.get("/health/ready")).status_code == 503


async def test_logs_name_nobody(site: Site) -> None:
    log = (site.platform.layout.logs / "web.log").read_text(encoding="utf-8")
    assert '"route": "/connexion"' in log
    for secret in ("token=", "@", "suite=", "ailleurs.example"):
        assert secret not in log
