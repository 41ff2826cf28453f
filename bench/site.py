"""How long the server takes for a page, through the gateway: for one visitor, and for many at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import httpx2

from bench import door
from bench.erasure_platform import Platform, platform
from bench.figures import Figure, Ground, Measure

COMPANIES = 300
MANY = 16
"""Visitors at a time, each with a connection that stays open."""
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True)
class Page:
    """A page that is looked at, and as whom; `{company}` in its path is a company's id."""

    title: str
    path: str
    member: bool = True


PAGES = (
    Page("home", "/", member=False),
    Page("communities", "/communautes", member=False),
    Page("public consultations", "/consultations", member=False),
    Page("data-protection notice", "/donnees-personnelles", member=False),
    Page("dashboard", "/tableau-de-bord"),
    Page("directory", "/annuaire"),
    Page("directory, a word", "/annuaire?q=boulangerie"),
    Page("company sheet", "/entreprises/{company}"),
    Page("my account", "/mon-compte"),
    Page("my data, from every service", "/mon-compte/donnees"),
)


async def pages(ground: Ground) -> Sequence[Figure]:
    """From the request to the last byte, gateway and services included, browser excluded."""
    async with platform(
        servers=ground.servers,
        folder=ground.folder,
        apart=False,
        partner=False,
        site=True,
    ) as running:
        seeded = await running.seed(companies=ground.size(COMPANIES))
        cookie = await _signed_in(running, seeded.accounts["member"])
        company = await running.lines["directory"].fetchval(
            "SELECT id FROM company ORDER BY id LIMIT 1"
        )
        found = []
        for page in PAGES:
            head = {"Host": running.ports.public.partition("://")[2], "Accept": "text/html"}
            if page.member:
                head["Cookie"] = cookie
            sent = door.request(page.path.format(company=company), head)
            found += await _looked_at(page, running.ports.gateway, sent, ground)
    return found


async def _signed_in(running: Platform, account: Mapping[str, str]) -> str:
    """The cookie of a browser in which somebody has signed in, through the page for it."""
    base = running.ports.public
    form = await running.http.get(f"{base}/connexion")
    own = {"Origin": base, "Cookie": _cookies(form)}  # by hand: they are for TLS alone
    done = await running.http.post(
        f"{base}/connexion", data={**dict(_HIDDEN.findall(form.text)), **account}, headers=own
    )
    if "__Host-session=" not in _cookies(done):
        raise RuntimeError(f"nobody is signed in: {done.status_code}")
    return _cookies(done)


def _cookies(answer: httpx2.Response) -> str:
    return "; ".join(one.partition(";")[0] for one in answer.headers.get_list("set-cookie"))


async def _looked_at(page: Page, port: int, sent: bytes, ground: Ground) -> list[Figure]:
    rows = []
    await door.seconds_each(port, sent, count=10, together=1)  # nobody's first visit
    for visitors in (1, MANY):
        rounds = []
        every: list[float] = []
        for _ in range(ground.rounds):
            took = await door.seconds_each(
                port,
                sent,
                count=ground.size(20 * visitors) if visitors > 1 else ground.size(100),
                together=visitors,
            )
            rounds.append(median(took) * 1000)
            every += took
        rows.append(
            Figure(
                name=f"page: {page.title}, {visitors} at a time",
                unit="ms",
                measured=median(rounds),
                p99=quantiles(every, n=100)[98] * 1000,
                rounds={"measured": rounds},
                details={"path": page.path, "looks": len(every)},
            )
        )
    return rows


FIGURES: Sequence[Measure] = (pages,)
