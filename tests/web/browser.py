"""A real Chromium, and what every page of the site has to stand."""

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from justhtml import JustHTML
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    async_playwright,
)

from deploy.local.backing import apt_install

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HEAVIEST = 150_000
"""Bytes a first visit may transfer."""
NARROW = 320
_REFERENCES = {"for", "aria-describedby", "aria-labelledby", "aria-controls", "list"}


_SHELL = "chromium-headless-shell"
"""The same engine of the same source, without the windows that nobody sees: 40 % less work."""


def chromium() -> str:
    """The browser of this machine, installed if need be; fails with what to do."""
    problem = ""
    found = os.environ.get("CCIB_CHROMIUM") or shutil.which(_SHELL)
    if not found:
        problem = apt_install(_SHELL)
        found = shutil.which(_SHELL) or shutil.which("chromium") or shutil.which("chrome")
    if not found:
        pytest.fail(
            f"no Chromium: install it (Debian: {_SHELL}) or name it by CCIB_CHROMIUM. {problem}"
        )
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        await browser.close()


@dataclass
class Tab:
    """A page of the site, and what happened while it was looked at."""

    page: Page
    base: str
    documents: list[Response] = field(default_factory=list)
    loaded: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Of the console: refusals of the content policy, errors of scripts."""

    @property
    def path(self) -> str:
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    @property
    def status(self) -> int:
        """Of the page that is shown."""
        return self.documents[-1].status

    async def go(self, path: str) -> None:
        await self.page.goto(path)

    async def fill(self, **fields: str) -> None:
        """Type into the fields of these names."""
        for name, value in fields.items():
            await self.page.locator(f"[name={name}]").fill(value)

    async def press(self, button: str) -> None:
        """Press a button of the page, not of its frame, and wait for what is shown then.

        A click alone may end before a busy browser begins to send: what the test did next would
        take the form's answer, a cookie perhaps, from under it.
        """
        pressed = self.page.get_by_role("main").get_by_role("button", name=button, exact=True)
        async with self.page.expect_navigation():
            await pressed.click()

    async def h1(self) -> str:
        [title] = await self.page.get_by_role("heading", level=1).all_inner_texts()
        return title.replace("\u00a0", " ")

    async def good(self) -> None:
        """Everything that is asked of every page and state."""
        await valid_html(self)
        await no_sideways_scroll(self.page)
        await axe(self.page)
        assert not self.complaints, self.complaints


@asynccontextmanager
async def opened(
    browser: Browser, base: str, *, context: BrowserContext | None = None, script: bool = True
) -> AsyncIterator[Tab]:
    """A tab in a browser of its own, or in `context`; nothing may come from elsewhere."""
    own = context or await browser.new_context(
        base_url=base, locale="fr-FR", java_script_enabled=script, reduced_motion="reduce"
    )
    page = await own.new_page()
    page.set_default_timeout(30_000)
    tab = Tab(page=page, base=base)

    def answered(response: Response) -> None:
        if response.request.is_navigation_request() and response.status not in range(300, 400):
            tab.documents.append(response)

    def complained(message: ConsoleMessage) -> None:
        told = message.type in {"error", "warning"}
        if told and "the server responded with a status" not in message.text:
            tab.complaints.append(message.text)

    page.on("response", answered)
    page.on("requestfinished", lambda request: tab.loaded.append(request))  # noqa: PLW0108 - playwright marks it
    page.on("console", complained)
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    try:
        yield tab
    finally:
        foreign = [one.url for one in tab.loaded if not one.url.startswith(base)]
        if context is None:  # else it is closed with the others
            await own.close()
        assert not foreign, f"asked for something elsewhere: {foreign}"


_AXE = f"""{Axe().axe_script};
axe.run({{resultTypes: ["violations"]}}).then(found => found.violations)"""
"""Asked in one go, and for nothing else: what was in order would take longer to send than to find."""


async def axe(page: Page) -> None:
    """WCAG 2.2 A and AA, and the rules of good practice: no violation at all."""
    violations = await page.evaluate(_AXE)
    told = [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary']}"
        for one in violations
        for node in one["nodes"]
    ]
    assert not told, f"{page.url}\n" + "\n".join(told)


async def good_without_scripts(tab: Tab) -> None:
    """The same of a page as it was sent, nothing of which ran: axe itself needs a browser that runs scripts."""
    await valid_html(tab)
    html = await tab.documents[-1].text()
    sent = html.replace("<noscript>", "").replace("</noscript>", "")
    browser = tab.page.context.browser
    assert browser is not None
    context = await browser.new_context(locale="fr-FR", reduced_motion="reduce")
    try:
        page = await context.new_page()
        await page.route("**/*.js", lambda route: route.abort())
        await page.route(
            tab.page.url, lambda route: route.fulfill(body=sent, content_type="text/html")
        )
        await page.goto(tab.page.url)
        await no_sideways_scroll(page)
        await axe(page)
    finally:
        await context.close()


async def no_sideways_scroll(page: Page) -> None:
    """At the width of a small phone, or of 400 % zoom."""
    before = page.viewport_size
    await page.set_viewport_size({"width": NARROW, "height": 640})
    width = await page.evaluate("document.documentElement.scrollWidth")
    if before:
        await page.set_viewport_size(before)
    assert width <= NARROW, f"{page.url} is {width} px wide"


async def weight(tab: Tab, path: str) -> int:
    """Bytes transferred by a first visit; needs a tab that has loaded nothing yet."""
    await tab.page.goto(path)
    total = 0
    for request in tab.loaded:
        sizes = await request.sizes()
        total += sizes["responseBodySize"] + sizes["responseHeadersSize"]
    return total


async def valid_html(tab: Tab) -> None:
    """As it was sent: no error of the parser, and what a parser does not see."""
    html = await tab.documents[-1].text()
    parsed = JustHTML(html, collect_errors=True, sanitize=False, scripting_enabled=False)
    assert not parsed.errors, f"{tab.path}: {[str(error) for error in parsed.errors]}"
    elements = [(one.name, one.attrs or {}) for one in parsed.query("*")]
    ids = Counter(attributes["id"] for _, attributes in elements if "id" in attributes)
    wrong = [f"twice: {name}" for name, count in ids.items() if count > 1]
    for name, attributes in elements:
        for reference in _REFERENCES & attributes.keys():
            wanted = (attributes[reference] or "").split()
            wrong += [f"{reference} of nothing: {one}" for one in wanted or [""] if one not in ids]
        wrong += [
            f"{name} {attribute}"
            for attribute in attributes
            if attribute == "style" or attribute.startswith(("on", "hx-on", "data-hx-on"))
        ]
        if name == "style" or (name == "script" and "src" not in attributes):
            wrong.append(f"{name} inline")
    if sum(name == "h1" for name, _ in elements) != 1:
        wrong.append("not one h1")
    assert not wrong, f"{tab.path}: {wrong}"
