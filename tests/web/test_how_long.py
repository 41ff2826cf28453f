"""How long it takes to join and to leave: a person's acts, counted on the shortest way through the pages.

Acts take what the keystroke-level model gives them (Card, Moran, Newell, "The Keystroke-Level Model for
User Performance Time with Interactive Systems", CACM 23(7), 1980, table 1), for somebody who types at
average speed and uses a mouse; the platform takes what it really takes, mails included.
"""

import time

from tests.directory.town import a_siret
from tests.web.browser import Tab
from tests.web.conftest import PASSWORD, Site, an_address
from tests.web.test_leaving import DONE, LEAVE
from tests.web.test_privacy_pages import an_open_community

KEY_S = 0.28
POINT_S = 1.1
BUTTON_S = 0.2
HAND_S = 0.4
THINK_S = 1.35
MAILBOX_S = 15.0
"""To look for a mail that is there, in a window of another program; ours, no such act is in the model."""


class Person:
    """Somebody in front of a tab, and the seconds that their acts have taken so far."""

    def __init__(self, tab: Tab) -> None:
        self._page, self.acts_s, self._began = tab.page, 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """The acts, and all the time that the platform needed meanwhile."""
        return self.acts_s + time.monotonic() - self._began

    async def types(self, field: str, text: str) -> None:
        """Find a field, point at it, type."""
        self.acts_s += THINK_S + POINT_S + BUTTON_S + 2 * HAND_S + KEY_S * len(text)
        await self._page.locator(f"[name='{field}']").fill(text)

    async def chooses(self, label: str) -> None:
        self.acts_s += THINK_S + POINT_S + BUTTON_S
        await self._page.get_by_label(label).check()

    async def picks(self, field: str, label: str) -> None:
        self.acts_s += THINK_S + 2 * (POINT_S + BUTTON_S)
        await self._page.locator(f"select[name='{field}']").select_option(label=label)

    async def presses(self, name: str, *, role: str = "button") -> None:
        self.acts_s += THINK_S + POINT_S + BUTTON_S
        scope = self._page.locator("body") if role == "link" else self._page.get_by_role("main")
        async with self._page.expect_navigation():
            await scope.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]

    async def opens_the_mail(self, site: Site, address: str) -> None:
        link = await site.mailed_link(address)
        self.acts_s += MAILBOX_S + POINT_S + BUTTON_S
        await self._page.goto(link)


async def test_joining_takes_less_than_three_minutes_and_leaving_less_than_one(
    site: Site, page: Tab
) -> None:
    community = await an_open_community(site)
    email = an_address()
    await page.go("/")
    person = Person(page)
    await person.presses("Créer un compte", role="link")
    await person.types("email", email)
    await person.types("password", PASSWORD)
    await person.chooses("J'ai lu")
    await person.presses("Créer mon compte")
    await person.opens_the_mail(site, email)
    await person.presses("Confirmer")
    await person.types("email", email)
    await person.types("password", PASSWORD)
    await person.presses("Se connecter")
    await person.types("first_name", "Ada")
    await person.types("last_name", "Lemaître")
    await person.presses("Enregistrer et continuer")
    await person.types("siret", a_siret())
    await person.presses("Continuer")
    await person.types("name", "Boulangerie Lemaître")
    await person.types("address.street", "12 rue du Port")
    await person.types("address.postcode", "76560")
    await person.types("phone", "0235112233")
    await person.picks("address.commune_code", "Doudeville")
    await person.presses("Enregistrer et continuer")
    await person.presses(community["name"], role="link")
    await person.presses("Rejoindre", role="link")
    await person.presses("Rejoindre")
    assert await page.h1() == "Vous êtes membre"
    print(f"joining: {person.acts_s:.0f} s of acts, {person.seconds:.0f} s in all")
    assert person.seconds < 180

    person = Person(page)
    await person.presses("Mon compte", role="link")
    await person.presses("Supprimer mon compte", role="link")
    await person.types("password", PASSWORD)
    await person.presses(LEAVE)
    await page.page.get_by_role("heading", name=DONE).wait_for()
    print(f"leaving: {person.acts_s:.0f} s of acts, {person.seconds:.0f} s in all")
    assert person.seconds < 60
