"""A declaration that contradicts its table does not pass the build (E3, E13)."""

import pytest
from sqlalchemy import Column, ForeignKey, Index, Table, Text, Uuid, text

from chassis.catalogue import (
    CatalogueError,
    Category,
    Fate,
    Hold,
    not_personal,
    personal,
    seal,
    subject,
)
from chassis.tables import service_metadata

HOLD = Hold(rule="essai", source="aucune", days=1)
WORDS = personal(Category.CONTENT, "Texte")


def a_key() -> Column[object]:
    return Column("id", Uuid, primary_key=True, **not_personal("opaque id"))


def a_person(
    fate: Fate = Fate.DELETE, *, target: str = "live_id", index: bool = True, **more: object
) -> Column[object]:
    declared = subject(fate, "Essayer", **more)  # type: ignore[arg-type]
    return Column("person_id", Uuid, ForeignKey(f"data_subject.{target}"), index=index, **declared)


WRONG = {
    "words: not declared": [a_person(), Column("words", Text)],
    "words: personal, but of no subject column": [Column("words", Text, **WORDS)],
    "needs a foreign key to data_subject.live_id": [a_person(target="id")],
    "needs a foreign key to data_subject.id": [a_person(Fate.KEEP, hold=HOLD)],
    "needs an index of its own": [a_person(index=False)],
    "person_id: a subject column needs an index": [
        a_person(index=False),
        Index("ix_part", "person_id", postgresql_where=text("false")),
    ],
    "a hold belongs to the fate keep": [a_person(hold=HOLD)],
    "and only there": [a_person(Fate.KEEP, target="id")],
    "a rule belongs to the fate shared": [a_person(Fate.SHARED)],
    "words: must be nullable to be detached": [
        a_person(Fate.DETACH),
        Column("words", Text, nullable=False, **WORDS),
    ],
}


@pytest.mark.parametrize(("said", "columns"), WRONG.items(), ids=WRONG.keys())
def test_a_contradiction_is_refused_in_words(said: str, columns: list[Column[object]]) -> None:
    metadata = service_metadata()
    Table("letter", metadata, a_key(), *columns)
    with pytest.raises(CatalogueError, match=said):
        seal(service="essai", metadata=metadata)


def test_a_person_named_twice_in_a_row_needs_to_say_whose_the_words_are() -> None:
    metadata = service_metadata()
    Table(
        "letter",
        metadata,
        a_key(),
        a_person(),
        Column(
            "reader_id",
            Uuid,
            ForeignKey("data_subject.live_id"),
            index=True,
            **subject(Fate.DELETE, "Essayer"),
        ),
        Column("words", Text, **WORDS),
    )
    with pytest.raises(CatalogueError, match="words: personal, but of no subject column"):
        seal(service="essai", metadata=metadata)


def test_what_is_declared_well_is_accepted() -> None:
    metadata = service_metadata()
    Table("letter", metadata, a_key(), a_person(Fate.DETACH), Column("words", Text, **WORDS))
    sealed = seal(service="essai", metadata=metadata)
    assert sealed.tables() == ("idempotency_key", "letter", "operator_action")
    assert sealed.describe()["tables"]["letter"]["columns"]["words"]["of"] == "person_id"
