"""A community while it fills."""

from dataclasses import dataclass, field
from random import Random

from deploy.demo.lexicon import Theme
from deploy.demo.records import Community, Company, Person

WINDOW = 400  # people of a community that later records may refer to

Pair = tuple[Person, Company]


@dataclass(slots=True)
class Circle:
    """What later records may refer to; the first of each list is its most active member."""

    theme: Theme
    community: Community
    buyers: list[Pair] = field(default_factory=list)
    suppliers: list[Pair] = field(default_factory=list)

    def remember(self, rng: Random, *, person: Person, firm: Company) -> None:
        window = self.buyers if "buyer" in person.roles else self.suppliers
        if len(window) < WINDOW:
            window.append((person, firm))
        else:
            window[rng.randrange(1, WINDOW)] = (person, firm)
