"""The gallery: every page in three widths, light and dark, with demo data. `make screens` takes it.

The pictures go to `docs/screens/`, with a page that shows them all. The demo member is deleted on the
way, as the last thing: the erasure and its certificate are pages, too.
"""

import asyncio
import io
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.async_api import Browser, Page

from deploy.local.layout import REPOSITORY
from tests.journeys.stack import Stack, standing
from tests.web.browser import launched

FOLDER = REPOSITORY / "docs" / "screens"
WIDTHS = (320, 768, 1280)
SCHEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")
HEIGHT = 900
COMPANIES = 300
QUALITY, SCALE = 60, 0.6
"""Small: who wants to read the text runs the site."""


@dataclass(frozen=True)
class Shot:
    """A page, by the link that leads there when its address is not known beforehand."""

    name: str
    title: str
    path: str
    link: str = ""


VISITOR = (
    Shot("accueil", "Accueil", "/"),
    Shot("communautes", "Communautés", "/communautes"),
    Shot("communaute", "Une communauté", "/communautes", "main a[href^='/communautes/']"),
    Shot("consultations", "Consultations publiques", "/consultations"),
    Shot("inscription", "Créer un compte", "/inscription"),
    Shot("connexion", "Se connecter", "/connexion"),
    Shot("notice", "Protection des données", "/donnees-personnelles"),
    Shot("cookies", "Cookies", "/cookies"),
    Shot("contact", "Contact et exercice des droits", "/contact"),
    Shot("aide", "Aide", "/aide"),
    Shot("accessibilite", "Accessibilité", "/accessibilite"),
    Shot("introuvable", "Page introuvable", "/nulle-part"),
)
BY_ROLE = {
    "member": (
        Shot("tableau-de-bord", "Tableau de bord", "/tableau-de-bord"),
        Shot("annuaire", "Annuaire", "/annuaire"),
        Shot("entreprise", "Une entreprise", "/annuaire", "main a[href^='/entreprises/']"),
        Shot("profil", "Profil", "/mon-compte/profil"),
        Shot(
            "consultation", "Une consultation", "/consultations", "main a[href^='/consultations/']"
        ),
        Shot("mon-compte", "Mon compte", "/mon-compte"),
        Shot("mes-donnees", "Mes données", "/mon-compte/donnees"),
        Shot("abonnements", "Abonnements", "/mon-compte/abonnements"),
    ),
    "buyer": (
        Shot("mes-consultations", "Mes consultations", "/mes-consultations"),
        Shot("nouvelle-consultation", "Nouvelle consultation", "/mes-consultations/nouvelle"),
    ),
    "animator": (Shot("animation", "Demandes d'adhésion", "/animation"),),
    "dpo": (
        Shot("effacements", "Effacements", "/effacements"),
        Shot("demandes-de-droits", "Demandes de droits", "/demandes-de-droits"),
    ),
}
LEAVING = (
    Shot("suppression", "Supprimer mon compte", "/mon-compte/suppression"),
    Shot("effacement", "L'effacement et son certificat", ""),
)


@asynccontextmanager
async def _tab(browser: Browser, stack: Stack, *, role: str = "") -> AsyncIterator[Page]:
    context = await browser.new_context(
        base_url=str(stack.http.base_url), locale="fr-FR", reduced_motion="reduce"
    )
    page = await context.new_page()
    if role:
        account = stack.account(role)
        await page.goto("/connexion")
        await page.locator("[name=email]").fill(account["email"])
        await page.locator("[name=password]").fill(account["password"])
        main = page.get_by_role("main")
        await main.get_by_role("button", name="Se connecter", exact=True).click()
        await _answer_about_cookies(page)
    yield page
    await context.close()


async def _answer_about_cookies(page: Page) -> None:
    """The question is on every page until then, and is shown on the first one."""
    await page.get_by_role("button", name="Refuser", exact=True).click()
    await page.get_by_role("button", name="Refuser", exact=True).wait_for(state="detached")


async def _take(page: Page, shot: Shot, folder: Path) -> None:
    if shot.path:
        await page.goto(shot.path)
    if shot.link:
        await page.goto(await page.locator(shot.link).first.get_attribute("href") or "/")
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": HEIGHT})
            taken = Image.open(io.BytesIO(await page.screenshot()))
            size = (int(taken.width * SCALE), int(taken.height * SCALE))
            small = taken.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            small.save(folder / f"{shot.name}-{width}-{scheme}.webp", quality=QUALITY, method=6)
    print(f"  {shot.title}", file=sys.stderr)


async def _leave(page: Page, stack: Stack, folder: Path) -> None:
    going, gone = LEAVING
    await _take(page, going, folder)
    await page.locator("main [name^=password]").fill(stack.account("member")["password"])
    await page.locator("main form button[type=submit]").last.click()
    await page.get_by_text("certificat", exact=False).first.wait_for(timeout=30_000)
    await asyncio.sleep(3)
    await page.reload()
    await _take(page, gone, folder)


async def take(stack: Stack, folder: Path) -> None:
    """Everything, into this folder."""
    async with launched() as browser:
        async with _tab(browser, stack) as page:
            first, *others = VISITOR
            await _take(page, first, folder)
            await _answer_about_cookies(page)
            for shot in others:
                await _take(page, shot, folder)
        for role, shots in BY_ROLE.items():
            async with _tab(browser, stack, role=role) as page:
                for shot in shots:
                    await _take(page, shot, folder)
        async with _tab(browser, stack, role="member") as page:
            await _leave(page, stack, folder)


def index() -> str:
    """The page of the gallery."""
    shots = [*VISITOR, *(shot for shots in BY_ROLE.values() for shot in shots), *LEAVING]
    lines = ["# The pages", "", "Taken by `make screens`, with demo data.", ""]
    for shot in shots:
        pictures = " ".join(
            f'<img src="{shot.name}-{width}-{scheme}.webp" alt="{width} px, {scheme}" height="240">'
            for scheme in SCHEMES
            for width in WIDTHS
        )
        lines += [f"## {shot.title}", "", pictures, ""]
    return "\n".join(lines)


def main() -> None:
    """Start the platform with demo data, take the pictures, stop it."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        standing(Path(scratch) / "stack", companies=COMPANIES) as stack,
    ):
        asyncio.run(take(stack, FOLDER))
    (FOLDER / "README.md").write_text(index(), encoding="utf-8")
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    print(f"{len(list(FOLDER.iterdir())) - 1} pictures, {size / 1e6:.1f} MB: {FOLDER}")


if __name__ == "__main__":
    main()
