"""Internet addresses that no two of the demo share; all end in .example (RFC 2606)."""

from random import Random

from deploy.local.seed.identifiers import slug

MAILBOXES = ("courriel", "messagerie", "poste", "boite-aux-lettres", "fil")


class Addresses:
    """Remembers the domains given so far, so that namesakes get different ones."""

    def __init__(self) -> None:
        self._domains: set[str] = set()
        self._people = 0

    def domain(self, *, name: str, department: str) -> str:
        """The domain of a company; a namesake's bears its department, then a number."""
        base = slug(name)[:40].strip("-")
        candidate, number = base, 1
        while candidate in self._domains:
            candidate = f"{base}-{department.lower()}" + (f"-{number}" if number > 1 else "")
            number += 1
        self._domains.add(candidate)
        return f"{candidate}.example"

    def at_work(self, *, first: str, last: str, domain: str, rank: int) -> str:
        """first.last@domain; two namesakes of one company are told apart by their rank."""
        local = f"{slug(first)}.{slug(last)}"
        return f"{local}{rank + 1 if rank else ''}@{domain}"

    def at_home(self, rng: Random, *, first: str, last: str) -> str:
        self._people += 1
        box = rng.choice(MAILBOXES)
        return f"{slug(first)}.{slug(last)}{self._people}@{box}.example"
