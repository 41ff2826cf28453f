"""Every page, as somebody who may see it: what is asked of all pages is asked of each.

`PAGES` has a line for each page of the site; one that is missing fails, so that a new page is looked at
from its first day. Journeys look at the states that a page can have, this at the page.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import httpx2
import pytest
from fastapi.routing import iter_route_contexts
from playwright.async_api import Browser, Page

from chassis import clock
from deploy.demo.identifiers import siret
from tests.web.browser import HEAVIEST, Tab, opened, valid_html, weight
from tests.web.conftest import Site, sign_in
from tests.web.seeing import HOSTILE
from tests.web.test_animator import asked
from tests.web.test_dpo import an_erasure_that_waits
from tests.web.test_privacy_pages import a_member_of_a_community
from web.main import ROUTERS

TABLET = 768
PAPER = 718
"""An A4 page of 210 mm less two margins of 10 mm, at 96 px per inch."""
_MENUS = ".site-header nav, .site-footer nav, .account, .skip, .cookie-strip, main form button"


class Seen(NamedTuple):
    """By whom a page is looked at, and what it answers."""

    who: str
    status: int = 200


VISITOR, MEMBER, BUYER = Seen("visitor"), Seen("member"), Seen("buyer")
ANIMATOR, DPO = Seen("animator"), Seen("dpo")

PAGES = {
    "/": VISITOR,
    "/connexion": VISITOR,
    "/mot-de-passe/oubli": VISITOR,
    "/mot-de-passe/message-envoye": VISITOR,
    "/mot-de-passe/nouveau": VISITOR,
    "/inscription": VISITOR,
    "/inscription/message-envoye": VISITOR,
    "/inscription/confirmation": VISITOR,
    "/communautes": VISITOR,
    "/communautes/{slug}": VISITOR,
    "/consultations": VISITOR,
    "/consultations/{id}": VISITOR,
    "/aide": VISITOR,
    "/aide/{name}": VISITOR,
    "/accessibilite": VISITOR,
    "/mentions-legales": VISITOR,
    "/donnees-personnelles": VISITOR,
    "/donnees-personnelles/versions/{version}": VISITOR,
    "/cookies": VISITOR,
    "/contact": VISITOR,
    "/contact/message-envoye": VISITOR,
    "/droits/confirmation": Seen("visitor", 410),
    "/droits/suivi": VISITOR,
    "/desabonnement": VISITOR,
    "/desabonnement/fait": VISITOR,
    "/mon-effacement": VISITOR,
    "/tableau-de-bord": MEMBER,
    "/inscription/profil": MEMBER,
    "/inscription/entreprise": MEMBER,
    "/inscription/entreprise/fiche": MEMBER,
    "/inscription/communaute": MEMBER,
    "/inscription/termine": MEMBER,
    "/communautes/{slug}/rejoindre": MEMBER,
    "/annuaire": MEMBER,
    "/personnes/{person_id}": MEMBER,
    "/entreprises/{company_id}": MEMBER,
    "/entreprises/{company_id}/modifier": MEMBER,
    "/mes-reponses": MEMBER,
    "/consultations/{id}/repondre": MEMBER,
    "/consultations/{id}/reponse": MEMBER,
    "/consultations/{id}/reponses/{reply_id}/retrait": MEMBER,
    "/mon-compte": MEMBER,
    "/mon-compte/profil": MEMBER,
    "/mon-compte/connexion": MEMBER,
    "/mon-compte/communautes": MEMBER,
    "/mon-compte/communautes/{membership_id}/quitter": MEMBER,
    "/mon-compte/entreprises": MEMBER,
    "/mon-compte/entreprises/{company_id}/quitter": MEMBER,
    "/mon-compte/donnees": MEMBER,
    "/mon-compte/donnees/detail": MEMBER,
    "/mon-compte/donnees/copies/{copy_id}": MEMBER,
    "/mon-compte/demandes/nouvelle": MEMBER,
    "/mon-compte/demandes/{request_id}": MEMBER,
    "/mon-compte/abonnements": MEMBER,
    "/mon-compte/suppression": MEMBER,
    "/mes-consultations": BUYER,
    "/mes-consultations/nouvelle": BUYER,
    "/consultations/{id}/modifier": BUYER,
    "/consultations/{id}/reponses": BUYER,
    "/consultations/{id}/{step}": BUYER,
    "/animation": ANIMATOR,
    "/animation/demandes/{id}/refus": ANIMATOR,
    "/animation/communautes/{slug}": ANIMATOR,
    "/effacements": DPO,
    "/effacements/{id}": DPO,
    "/effacements/{id}/systemes/{name}/dispense": DPO,
    "/demandes-de-droits": DPO,
    "/demandes-de-droits/{id}": DPO,
    "/demandes-de-droits/{id}/{name}": DPO,
}
NO_PAGE = {
    "/robots.txt": "for machines",
    "/mon-compte/photo": "a picture",
    "/personnes/{person_id}/photo": "a picture",
    "/mon-effacement/fiche.txt": "a file to keep",
    "/mon-effacement/certificat.pdf": "a file to keep",
    "/mon-effacement/certificat.json": "a file to keep",
    "/inscription/suite": "leads to the next step",
    "/mon-compte/notice": "there while something is asked: test_privacy_pages.py looks at it",
}


def test_every_page_has_a_line() -> None:
    found = {
        str(one.path)
        for router in ROUTERS
        for one in iter_route_contexts(router.routes)
        if "GET" in (getattr(one, "methods", None) or ())
    }
    assert found == PAGES.keys() | NO_PAGE.keys()


@dataclass(kw_only=True)
class Lookers:
    """People who are signed in, by kind, and addresses of things that they may see."""

    browser: Browser
    base: str
    cookies: dict[str, Any]
    addresses: dict[str, str]


class Desk:
    """The API as one of the demo accounts."""

    def __init__(self, http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
        self._http, self._headers = http, headers

    async def get(self, path: str) -> Any:
        answer = await self._http.get(f"/api/{path}", headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def put(self, path: str, body: Any) -> None:
        answer = await self._http.put(f"/api/{path}", json=body, headers=self._headers)
        assert answer.is_success, answer.text

    async def post(self, path: str, body: Any = None, *, patience_s: float = 0) -> Any:
        """`patience_s`: until the service has heard what it must know."""
        until = time.monotonic() + patience_s
        while True:
            answer = await self._http.post(f"/api/{path}", json=body, headers=self._headers)
            if answer.is_success:
                return answer.json()
            assert time.monotonic() < until, answer.text
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def lookers(browser: Browser, site: Site) -> AsyncIterator[Lookers]:
    async with AsyncExitStack() as stack:
        desks, cookies = {}, {"visitor": None}
        accounts = {**site.accounts, "member": await a_member_of_a_community(site)}
        for who in ("member", "buyer", "animator", "dpo"):
            desks[who] = Desk(site.http, await site.api(accounts[who]))
            async with opened(browser, site.base) as tab:
                await sign_in(tab, accounts[who])
                assert tab.path == "/tableau-de-bord"
                cookies[who] = await tab.page.context.storage_state()
        waits = await stack.enter_async_context(an_erasure_that_waits(site))
        addresses = {
            "/aide/{name}": "/aide/supprimer-mon-compte",
            **await _of_the_notice(site),
            **await _of_a_member(desks["member"]),
            **await _of_consultations(desks["buyer"], desks["member"]),
            **await _of_an_animator(site, desks["animator"]),
            **await _of_the_dpo(desks["member"], *waits),
        }
        yield Lookers(browser=browser, base=site.base, cookies=cookies, addresses=addresses)


async def _of_the_notice(site: Site) -> dict[str, str]:
    version = (await site.http.get("/api/privacy/notice")).json()["version"]
    page = "/donnees-personnelles/versions/{version}"
    return {page: page.format(version=version)}


async def _of_a_member(member: Desk) -> dict[str, str]:
    person = (await member.get("identity/me"))["account_id"]
    await member.put("directory/me/profile", {"last_name": HOSTILE, "first_name": "Ada"})
    joined = next(one for one in await _memberships(member) if one["state"] == "active")
    others = await member.get("directory/communities")
    mine = {one["community"]["id"] for one in await _memberships(member)}
    other = next(one for one in others["items"] if one["id"] not in mine)
    right = await member.post(
        "privacy/me/rights-requests", {"kind": "objection", "message": HOSTILE}
    )
    copy = await member.post("privacy/me/exports")
    company = joined["company"]["id"]
    return {
        "/personnes/{person_id}": f"/personnes/{person}",
        "/entreprises/{company_id}": f"/entreprises/{company}",
        "/entreprises/{company_id}/modifier": f"/entreprises/{company}/modifier",
        "/communautes/{slug}": f"/communautes/{joined['community']['slug']}",
        "/communautes/{slug}/rejoindre": f"/communautes/{other['slug']}/rejoindre",
        "/inscription/entreprise/fiche": "/inscription/entreprise/fiche?siret=" + _a_siret(),
        "/mon-compte/communautes/{membership_id}/quitter": (
            f"/mon-compte/communautes/{joined['id']}/quitter"
        ),
        "/mon-compte/entreprises/{company_id}/quitter": f"/mon-compte/entreprises/{company}/quitter",
        "/mon-compte/donnees/copies/{copy_id}": f"/mon-compte/donnees/copies/{copy['id']}",
        "/mon-compte/demandes/{request_id}": f"/mon-compte/demandes/{right['request_id']}",
    }


async def _memberships(member: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await member.get("directory/me/memberships")
    return found


def _a_siret() -> str:
    return siret(random.Random(), index=secrets.randbelow(9_000_000), seed=11)


async def _of_consultations(buyer: Desk, member: Desk) -> dict[str, str]:
    joined = next(one for one in await _memberships(member) if one["state"] == "active")
    [company, *_] = await buyer.get("directory/me/companies")

    async def call(*steps: str, replied: bool = False) -> str:
        draft = {
            "company_id": company["id"],
            "title": f"Usinage {HOSTILE}",
            "description": f"Douze vannes.\n\n{HOSTILE}",
            "kind": "sourcing",
            "communities": [joined["community"]["id"]],
            "closes_at": (clock.now() + timedelta(days=9)).isoformat(),
            "public": True,
            "contact": {"name": HOSTILE},
        }
        path = f"consultations/{(await buyer.post('consultations/consultations', draft))['id']}"
        first, *later = steps or [""]
        if first:
            await buyer.post(f"consultations/{path}/{first}")
        if replied:
            body = {"company_id": joined["company"]["id"], "message": f"Oui. {HOSTILE}"}
            await member.post(f"consultations/{path}/replies", body, patience_s=10)
        for step in later:
            await buyer.post(f"consultations/{path}/{step}")
        return f"/{path}"

    draft, fresh = await call(), await call("publication")
    answered = await call("publication", replied=True)
    closed = await call("publication", "closure", replied=True)
    replies = await member.get(f"consultations{answered}/replies")
    reply = replies["items"][0]["id"]
    return {
        "/consultations/{id}": fresh,
        "/consultations/{id}/repondre": f"{fresh}/repondre",
        "/consultations/{id}/reponse": f"{answered}/reponse",
        "/consultations/{id}/reponses/{reply_id}/retrait": f"{answered}/reponses/{reply}/retrait",
        "/consultations/{id}/modifier": f"{draft}/modifier",
        "/consultations/{id}/{step}": f"{draft}/publication",
        "/consultations/{id}/reponses": f"{closed}/reponses",
    }


async def _of_an_animator(site: Site, animator: Desk) -> dict[str, str]:
    [run, *_] = await animator.get("directory/me/managed-communities")
    request = await asked(site, run["slug"], name=HOSTILE)
    return {
        "/animation/communautes/{slug}": f"/animation/communautes/{run['slug']}",
        "/animation/demandes/{id}/refus": f"/animation/demandes/{request.id}/refus",
    }


async def _of_the_dpo(member: Desk, name: str, erasure: str) -> dict[str, str]:
    right = await member.post(
        "privacy/me/rights-requests", {"kind": "rectification", "message": HOSTILE}
    )
    request = f"/demandes-de-droits/{right['request_id']}"
    return {
        "/effacements/{id}": f"/effacements/{erasure}",
        "/effacements/{id}/systemes/{name}/dispense": (
            f"/effacements/{erasure}/systemes/{name}/dispense"
        ),
        "/demandes-de-droits/{id}": request,
        "/demandes-de-droits/{id}/{name}": f"{request}/reponse",
    }


@pytest.fixture
async def tab(lookers: Lookers, page_of: str) -> AsyncIterator[Tab]:
    """A browser that has loaded nothing yet, and the session of who looks at that page."""
    context = await lookers.browser.new_context(
        base_url=lookers.base,
        locale="fr-FR",
        reduced_motion="reduce",
        storage_state=lookers.cookies[PAGES[page_of].who],
    )
    try:
        async with opened(lookers.browser, lookers.base, context=context) as found:
            yield found
    finally:
        await context.close()


@pytest.mark.parametrize("page_of", PAGES)
async def test_what_is_asked_of_all_pages_is_asked_of_each(
    lookers: Lookers, tab: Tab, page_of: str
) -> None:
    address = lookers.addresses.get(page_of, page_of)
    assert "{" not in address
    assert await weight(tab, address) < HEAVIEST
    assert (tab.path, tab.status) == (address, PAGES[page_of].status)
    assert await tab.page.locator("main script, main img[src=x]").count() == 0
    await tab.good()
    await _fits_a_tablet(tab.page)
    await _can_be_printed(tab.page)
    await tab.page.emulate_media(media="screen", color_scheme="light")
    for place in range(await tab.page.locator(_FORMS).count()):
        await tab.go(address)
        await _takes_hostile_text_for_text(tab, place)
    assert not tab.complaints


_FORMS = "main form[method=post]:has(:is(textarea, input):is(:not([type]), [type=text], [type=email], [type=tel], [type=url], [type=search]))"
_FIELDS = "textarea, input:is(:not([type]), [type=text], [type=email], [type=tel], [type=url], [type=search], [type=password])"


async def _takes_hostile_text_for_text(tab: Tab, place: int) -> None:
    """In all its fields at once, past what the browser would check; what was typed is kept."""
    form = tab.page.locator(_FORMS).nth(place)
    typed = {}
    # By name: an answer of htmx may put a field before another while this goes on.
    for name, kind in await form.locator(_FIELDS).evaluate_all(
        "fields => fields.filter(f => f.checkVisibility()).map(f => [f.name, f.type])"
    ):
        field = form.locator(f"[name='{name}']").first
        await field.fill(HOSTILE)
        if kind != "password":
            typed[name] = await field.input_value()
    async with tab.page.expect_navigation():
        await form.evaluate("form => { form.noValidate = true; form.requestSubmit(); }")
    assert tab.status < 500
    assert await tab.page.locator("main script, main img[src=x]").count() == 0
    assert "49" not in await tab.h1()
    await valid_html(tab)
    if tab.status == 422:
        for name, text in typed.items():
            found = tab.page.locator(f"main [name='{name}']:not([type=hidden])")
            if await found.count():
                assert await found.first.input_value() == text, name


async def _fits_a_tablet(page: Page) -> None:
    await page.set_viewport_size({"width": TABLET, "height": 1024})
    assert await page.evaluate("document.documentElement.scrollWidth") <= TABLET


async def _can_be_printed(page: Page) -> None:
    """Dark on white whatever the screen is, within the width of the paper, without what only a screen can do."""
    await page.emulate_media(media="print", color_scheme="dark")
    await page.set_viewport_size({"width": PAPER, "height": 1000})
    assert await page.evaluate("document.documentElement.scrollWidth") <= PAPER
    shown = await page.locator(_MENUS).evaluate_all(
        "found => found.filter(one => one.checkVisibility()).map(one => one.outerHTML.slice(0, 99))"
    )
    assert not shown, shown
    light = await page.evaluate(_LIGHT_TEXT)
    assert not light, light
    assert await page.get_by_role("heading", level=1).is_visible()


_LIGHT_TEXT = """() => {
  const light = [];
  for (const one of document.querySelectorAll("main *")) {
    if (!one.checkVisibility() || ![...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
      continue;
    const [r, g, b] = getComputedStyle(one).color.match(/[\\d.]+/g).map(Number);
    if (0.2126 * r + 0.7152 * g + 0.0722 * b > 140) light.push(one.outerHTML.slice(0, 99));
  }
  return light;
}"""
"""Text that would not be read on white paper."""
