"""Numbers and addresses that are well formed and belong to nobody."""

import re
import unicodedata
from datetime import datetime
from random import Random
from uuid import UUID

# The number ranges that the regulator (ARCEP) keeps for fiction, by area and for mobiles.
FICTION = {"1": "19900", "2": "26191", "3": "35301", "4": "46571", "5": "53649", "6": "63998"}
# A multiplier without common factor with the modulus visits every number once.
STRIDE, CYCLE = 7_654_321, 9_000_000


def uuid7(rng: Random, *, at: datetime) -> UUID:
    """A UUIDv7 whose random part comes from the seed."""
    milliseconds = int(at.timestamp() * 1000)
    bits = rng.getrandbits(74)
    return UUID(
        int=milliseconds << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
    )


def siret(rng: Random, *, index: int, seed: int) -> str:
    """The valid SIRET of the index-th demo company; distinct for up to nine million of them.

    The SIREN begins with 0, which the register never allots: no real company bears it.
    """
    body = f"0{1_000_000 + (index * STRIDE + seed * 104_729) % CYCLE}"
    siren = body + str(_luhn_key(body))
    establishment = siren + f"{rng.choices((1, 2, 3, 4), (70, 18, 8, 4))[0]:04}"
    return establishment + str(_luhn_key(establishment))


def _luhn_key(digits: str) -> int:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + (place % 2 == 0))
        total += value - 9 * (value > 9)
    return -total % 10


def phone(rng: Random, *, area: str) -> str:
    """A number kept for fiction, in E.164; area "6" for a mobile."""
    return f"+33{FICTION[area]}{rng.randrange(10_000):04}"


def slug(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.lower().replace("œ", "oe").replace("'", "-"))
    return re.sub(r"[^a-z0-9]+", "-", folded.encode("ascii", "ignore").decode()).strip("-")
