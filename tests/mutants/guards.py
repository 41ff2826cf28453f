"""Mutants of the checks themselves: each refusal in their code is taken out, and must be missed.

The code is read from the source, so that a new refusal is a new mutant; what must notice are the other
mutants, which are its witnesses.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from chassis import catalogue, erasure, live_schema
from services.privacy.actions import answers, certificates
from tests.erasure.shelf import a_command
from tests.mutants import declarations, schema
from tests.mutants import eraser as erasing
from tests.mutants.desk import Desk
from tests.mutants.kinds import Catch, Caught, Mutant, Result
from tests.mutants.refusals import refusals_of, removed

if TYPE_CHECKING:
    from tests.mutants.evidence import Court

Witness = tuple[str, Callable[[], Awaitable[bool]]]
"""What it is called, and whether it escapes."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A module that refuses, and what must escape when it refuses one thing less."""

    module: ModuleType
    witnesses: list[Witness]
    test: str


PRECISELY = {
    "FilesLeftError": "tests/erasure/test_files.py"
    "::test_a_storage_that_keeps_what_it_was_told_to_delete_holds_it_back_too",
    "ForgedCommandError": "tests/erasure/test_repetition.py"
    "::test_another_entry_at_a_known_position_is_refused_and_answered_by_nothing",
    "raise trouble": "tests/erasure/test_repetition.py"
    "::test_when_nobody_can_be_forgotten_now_the_command_fails_with_the_reason",
    "another-hash": "tests/privacy/test_answers.py"
    "::test_a_manifest_under_a_hash_that_is_not_its_own_is_refused",
    "malformed-manifest": "tests/privacy/test_answers.py"
    "::test_a_manifest_that_describes_nothing_breaks_neither_notice_nor_certificates",
    "outcome-not-its-own": "tests/privacy/test_answers.py"
    "::test_a_partner_s_word_counts_for_itself_alone",
}
"""The test that goes red, where it is not the one of the module's other refusals."""


def _test(general: str, code: str) -> str:
    return next((test for words, test in PRECISELY.items() if words in code), general)


async def run(desks: Mapping[str, Desk], court: "Court") -> list[Result]:
    """Take out each refusal, and let the witnesses find what nobody refuses any more."""
    found = []
    for checked in (
        await _live_schema(desks),
        _catalogue(desks),
        _erasure(desks["directory"]),
        _answers(court),
        _certificates(court),
    ):
        for name, escapes in checked.witnesses:
            assert not await escapes(), f"{checked.module.__name__} lets {name} pass"
        for function, number, code in refusals_of(checked.module):
            mutant = Mutant("refusal taken out", checked.module.__name__, f"{function}: {code}")
            with removed(checked.module, function, number):
                caught = await _noticed(checked.witnesses)
            found.append(Result(mutant, caught, _test(checked.test, code)))
    return found


async def _noticed(witnesses: list[Witness]) -> Caught | None:
    for name, escapes in witnesses:
        try:
            if await escapes():
                return Caught(Catch.TEST, f"escapes: {name}")
        except Exception as error:  # noqa: BLE001 - what came next could not bear it either
            return Caught(Catch.TEST, f"breaks: {name}: {type(error).__name__}")
    return None


def _first_of_each(mutants: Iterator[tuple[Mutant, Desk]]) -> dict[str, tuple[Mutant, Desk]]:
    found: dict[str, tuple[Mutant, Desk]] = {}
    for mutant, desk in mutants:
        found.setdefault(mutant.kind, (mutant, desk))
    return found


async def _live_schema(desks: Mapping[str, Desk]) -> Checked:
    spoilt = _first_of_each((m, desk) for desk in desks.values() for m in schema.mutants(desk))
    witnesses = []
    for mutant, desk in spoilt.values():
        async with desk.trial(schema.sql(mutant, desk)) as session:
            facts = await live_schema.read(session)
        witnesses.append((str(mutant), _passes(desk, facts)))
    desk = next(iter(desks.values()))
    witnesses.append(("what leaves holds something", _leaves_full(desk)))
    return Checked(
        module=live_schema,
        witnesses=witnesses,
        test="tests/erasure/test_live_schema.py"
        "::test_a_change_of_the_live_schema_stops_acknowledgements_and_starts",
    )


def _passes(desk: Desk, facts: list[live_schema.Fact]) -> Callable[[], Awaitable[bool]]:
    async def escapes() -> bool:
        try:
            live_schema.compare(desk.catalogue, facts)
        except live_schema.SchemaMismatchError:
            return False
        return True

    return escapes


def _leaves_full(desk: Desk) -> Callable[[], Awaitable[bool]]:
    full = catalogue.Leaving(table="data_subject", revision="9999")

    async def escapes() -> bool:
        going = replace(desk.catalogue, leaving=(full,))
        async with desk.db.transaction() as session:
            try:
                await live_schema.holds_nothing(session, going, desk.facts)
            except live_schema.SchemaMismatchError:
                return False
        return True

    return escapes


def _catalogue(desks: Mapping[str, Desk]) -> Checked:
    drafts = {name: declarations.draft(desk.catalogue) for name, desk in desks.items()}
    kinds: dict[str, Witness] = {}
    for name, desk in desks.items():
        for mutant in declarations.mutants(desk.catalogue):
            seals = _seals(mutant, drafts[name])
            if mutant.kind not in kinds and not seals():
                kinds[mutant.kind] = (str(mutant), _awaited(seals))
    return Checked(
        module=catalogue,
        witnesses=list(kinds.values()),
        test="tests/erasure/test_declarations.py::test_a_contradiction_is_refused_in_words",
    )


def _seals(mutant: Mutant, tables: Any) -> Callable[[], bool]:
    def escapes() -> bool:
        try:
            with declarations._sealing(tables), declarations.change(mutant)(tables):
                catalogue.seal(service=mutant.service, metadata=tables)
        except catalogue.CatalogueError:
            return False
        return True

    return escapes


def _awaited(question: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return question()

    return asked


def _erasure(desk: Desk) -> Checked:
    """The directory has files, a rule and rows of every kind."""
    spoilt = _first_of_each((m, desk) for m in erasing.mutants(desk.catalogue))
    witnesses: list[Witness] = []

    for mutant, _ in spoilt.values():
        if mutant.kind in (erasing.DEAF, erasing.EATEN, *erasing.TOMBSTONES):
            witnesses.append((str(mutant), _erases(mutant, desk)))

    async def forged() -> bool:
        command = a_command(uuid4())
        async with desk.trial() as session:
            await erasure.apply(session, command, desk.eraser)
            other = command.model_copy(update={"entry_hash": "0" * 64})
            try:
                await erasure.apply(session, other, desk.eraser)
            except erasure.ForgedCommandError:
                return False
        return True

    async def all_in_trouble() -> bool:
        command = a_command(desk.person, desk.other.person)
        await desk.put_files()
        eaten = erasing.spoiling(spoilt[erasing.EATEN][0], desk.catalogue)
        async with desk.trial(eaten) as session:
            try:
                await erasure._erase_together_or_each(session, command, desk.eraser)
            except erasure.RowsLeftError:
                return False
        return True

    witnesses += [("a forged command", forged), ("nobody could be erased", all_in_trouble)]
    return Checked(
        module=erasure,
        witnesses=witnesses,
        test="tests/erasure/test_refusals.py"
        "::test_an_erasure_whose_statements_are_discarded_is_refused",
    )


def _erases(mutant: Mutant, desk: Desk) -> Callable[[], Awaitable[bool]]:
    async def escapes() -> bool:
        caught = await erasing.judge(mutant, desk, None)
        return caught is None or caught.by is Catch.TEST

    return escapes


def _answers(court: "Court") -> Checked:
    from tests.mutants import evidence  # it names tests of guards

    witnesses: list[Witness] = []
    for service in ("privacy", evidence.PARTNER):
        bent = (
            evidence.lies_of_a_partner(court)
            if service == evidence.PARTNER
            else evidence.lies(court, service)
        )
        kinds = {kind: (target, lie) for kind, target, lie in bent if kind != evidence.SILENT}
        witnesses += [
            (f"{kind} {service} {target}", _believed(court, lie))
            for kind, (target, lie) in kinds.items()
        ]
    witnesses += [
        (name, _announced(court, lie)) for name, lie in evidence.manifests_that_lie(court)
    ]
    return Checked(
        module=answers,
        witnesses=witnesses,
        test="tests/privacy/test_answers.py"
        "::test_an_answer_that_proves_nothing_closes_nothing_and_is_shown",
    )


def _believed(court: "Court", lie: Any) -> Callable[[], Awaitable[bool]]:
    async def escapes() -> bool:
        async with court.session.begin_nested() as point:
            before = await court.refusals_shown()
            await lie(court)
            believed = await court.steps_closed()
            shown = await court.refusals_shown() > before
            await point.rollback()
        return believed > 0 or not shown

    return escapes


def _announced(court: "Court", lie: Any) -> Callable[[], Awaitable[bool]]:
    async def escapes() -> bool:
        async with court.session.begin_nested() as point:
            before = await court.manifests_known()
            await lie()
            after = await court.manifests_known()
            await point.rollback()
        return after != before

    return escapes


def _certificates(court: "Court") -> Checked:
    from tests.mutants import evidence

    async def left_out() -> bool:
        async with evidence.all_but(court, None):
            caught = await evidence._skip(
                court, "participant left out of the certificate", "directory"
            )
        return caught is None

    return Checked(
        module=certificates,
        witnesses=[("a certificate without the directory", left_out)],
        test="tests/mutants/test_participants.py::test_nobody_is_left_out_of_a_proof",
    )
