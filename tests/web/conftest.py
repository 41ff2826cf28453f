import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from playwright.async_api import Browser

from bench.erasure_platform import Platform, platform
from tests.web.browser import Tab, launched, opened

_HERE = Path(__file__).parent
PASSWORD = "Sept-Péniches-Bleues-42"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # the first one waits for the whole platform, and perhaps for apt-get
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.timeout(120, func_only=True))


@dataclass(kw_only=True)
class Site:
    """The running platform, as its visitors meet it."""

    platform: Platform
    base: str
    mail: str
    accounts: dict[str, dict[str, str]]
    """Demo accounts by role."""
    http: httpx2.AsyncClient
    """At the gateway, without cookies."""

    async def mails(self, address: str) -> list[dict[str, Any]]:
        """What an address has got, the newest last."""
        listed = (await self.http.get(f"{self.mail}/messages")).json()
        return sorted(
            (one for one in listed if address in one["to"]), key=lambda one: one["received_at"]
        )

    async def mailed_link(self, address: str, *, count: int = 1) -> str:
        """The path in the last mail to an address, once there are so many."""
        for _ in range(400):
            if len(found := await self.mails(address)) >= count:
                mail = (await self.http.get(f"{self.mail}/messages/{found[-1]['id']}")).json()
                [path] = [word for word in mail["text"].split() if word.startswith(f"{self.base}/")]
                return path.removeprefix(self.base)
            await asyncio.sleep(0.05)
        raise AssertionError(f"no {count} mails to {address}")

    async def a_member(self) -> dict[str, str]:
        """E-mail and password of a confirmed account, made through the API."""
        account = {"email": an_address(), "password": PASSWORD}
        body = {**account, "notice_version": "2026-11"}
        answer = await self.http.post("/api/identity/accounts", json=body)
        assert answer.status_code == 202, answer.text
        token = (await self.mailed_link(account["email"])).partition("token=")[2]
        done = await self.http.post("/api/identity/accounts/verify", json={"token": token})
        assert done.status_code == 204, done.text
        return account

    async def api(self, account: dict[str, str]) -> dict[str, str]:
        """Headers for the API as that person."""
        answer = await self.http.post("/api/identity/sessions", json=account)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def an_address() -> str:
    return f"{uuid4().hex}@entreprise.example"


async def sign_in(tab: Tab, account: dict[str, str]) -> None:
    """Through the page."""
    await tab.go("/connexion")
    await tab.fill(**account)
    await tab.press("Se connecter")


@pytest.fixture(scope="package")
async def site(
    servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """Five services, the site and the gateway as processes, with a little demo data."""
    folder: Path = tmp_path_factory.mktemp("site")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            platform(servers=servers, folder=folder, apart=False, partner=False, site=True)
        )
        base = running.ports.public
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=base, timeout=30))
        seeded = await running.seed(companies=20)
        yield Site(
            platform=running,
            base=base,
            mail=f"http://127.0.0.1:{running.ports.mail}",
            accounts=seeded.accounts,
            http=http,
        )


@pytest.fixture(scope="package")
async def browser(site: Site) -> AsyncIterator[Browser]:
    """After the site: both may have to be installed, and apt-get is there once."""
    del site
    async with launched() as running:
        yield running


@pytest.fixture
async def page(browser: Browser, site: Site) -> AsyncIterator[Tab]:
    """A tab of a browser that knows nothing yet."""
    async with opened(browser, site.base) as tab:
        yield tab


@pytest.fixture
async def no_javascript_page(browser: Browser, site: Site) -> AsyncIterator[Tab]:
    """The same, without scripts."""
    async with opened(browser, site.base, script=False) as tab:
        yield tab
