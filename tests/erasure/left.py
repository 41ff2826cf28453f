"""What an erasure has left, and what it says it did, each as one question (E1, E13)."""

from collections.abc import Collection, Mapping
from uuid import UUID

from chassis.catalogue import Catalogue
from chassis.erasure_rows import Tally
from tests.rows import Dump, Filling


def behind(*fillings: Filling, everything: str, files: Collection[str]) -> list[str]:
    """What is still there of what was written about somebody, by name; held rows stay."""
    return [
        *(
            f"{where} is still in the database"
            for filling in fillings
            for token, where in filling.tokens.items()
            if token in everything
        ),
        *(
            f"{where} is still in the storage"
            for filling in fillings
            for key, where in filling.files.items()
            if key in files
        ),
    ]


def miscounted(
    before: Dump, catalogue: Catalogue, person: UUID, tallies: Mapping[str, Tally]
) -> list[str]:
    """Tables of which the evidence tells fewer rows than named the person, or more than mentions."""
    wrong = []
    for table in catalogue.tables():
        entries = [e for e in catalogue.subjects if e.table.name == table]
        mentions = [
            sum(row[e.column.name] == str(person) for e in entries)
            for row in before[table].values()
        ]
        tally = tallies[table]
        told = tally.deleted + tally.detached + sum(kept.rows for kept in tally.kept)
        if not sum(map(bool, mentions)) <= told <= sum(mentions):
            wrong.append(f"{table}: {told} rows told, {sum(mentions)} were there")
        holds = {e.declared.hold.rule for e in entries if e.declared.hold}
        if {kept.rule for kept in tally.kept} - holds:
            wrong.append(f"{table}: rows kept that nobody may keep")
    return wrong
