"""Internet addresses that no two of the demo share; all end in .example (RFC 2606)."""

from random import Random
from zlib import crc32

from deploy.demo.identifiers import slug

MAILBOXES = ("courriel", "messagerie", "poste", "boite-aux-lettres", "fil")


_BITS = 27


class Addresses:
    """Remembers the domains given so far, so that namesakes get different ones.

    One bit per domain, by its hash: 16 MB however many there are. Two that share a bit count as
    namesakes, which costs one of them a longer name and nobody anything.
    """

    def __init__(self) -> None:
        self._taken = bytearray(1 << _BITS - 3)
        self._people = 0

    def domain(self, *, name: str, department: str) -> str:
        """The domain of a company; a namesake's bears its department, then a number."""
        base = slug(name)[:40].strip("-")
        candidate, number = base, 1
        while not self._take(candidate):
            candidate = f"{base}-{department.lower()}" + (f"-{number}" if number > 1 else "")
            number += 1
        return f"{candidate}.example"

    def _take(self, domain: str) -> bool:
        place, bit = divmod(crc32(domain.encode()) & (1 << _BITS) - 1, 8)
        free = not self._taken[place] >> bit & 1
        self._taken[place] |= 1 << bit
        return free

    def at_work(self, *, first: str, last: str, domain: str, rank: int) -> str:
        """first.last@domain; two namesakes of one company are told apart by their rank."""
        local = f"{slug(first)}.{slug(last)}"
        return f"{local}{rank + 1 if rank else ''}@{domain}"

    def at_home(self, rng: Random, *, first: str, last: str) -> str:
        self._people += 1
        box = rng.choice(MAILBOXES)
        return f"{slug(first)}.{slug(last)}{self._people}@{box}.example"
