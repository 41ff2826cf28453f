"""What journeys of several people share."""

import asyncio
from typing import Any

import httpx2

from tests.web.browser import Tab, good_without_scripts
from tests.web.conftest import Site

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


async def look(tab: Tab, title: str, *, status: int = 200, script: bool = True) -> None:
    """The page is the one that was meant, and everything that is asked of a page."""
    assert (await tab.h1(), tab.status) == (title, status)
    assert await tab.page.locator("main script, main img[src=x]").count() == 0
    await (tab.good() if script else good_without_scripts(tab))


async def sent_twice(site: Site, tab: Tab, action: str) -> list[httpx2.Response]:
    """The form of the page that is shown, sent twice at the same instant, and what each led to."""
    form = tab.page.locator(f'form[action="{action}"]')
    fields = await form.evaluate("form => [...new FormData(form)]")
    cookies = await tab.page.context.cookies()
    headers = {
        "Origin": site.base,
        "Cookie": "; ".join(f"{one['name']}={one['value']}" for one in cookies),
    }
    body: dict[str, Any] = {}
    for name, value in fields:
        body.setdefault(name, []).append(value)
    return list(
        await asyncio.gather(
            *(site.http.post(action, data=body, headers=headers) for _ in range(2))
        )
    )
