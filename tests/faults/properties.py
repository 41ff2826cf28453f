"""What forgetting must fulfil, and the tests that would turn red: E1 to E23 of the design, as data.

`test_scenarios.py` makes sure that each test exists; `README.md` shows this table, and a test compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Property:
    """One promise about erasure."""

    says: str
    tests: tuple[str, ...]
    """`file::function`, or a file, below `tests`."""


def _says(says: str, *tests: str) -> Property:
    return Property(says=says, tests=tests)


PROPERTIES: Mapping[str, Property] = {
    "E1": _says(
        "each text a person typed is found in its place before, and in none after: databases, "
        "queues, dead letters, logs, files, mails",
        "journeys/test_nothing_left.py::test_what_a_person_typed_is_everywhere_before_and_nowhere_after",
        "erasure/test_completeness.py::test_every_personal_column_is_filled_before_and_found_nowhere_after",
    ),
    "E2": _says(
        "the rows of everybody else are the same to the byte",
        "journeys/test_nothing_left.py::test_what_a_person_typed_is_everywhere_before_and_nowhere_after",
        "erasure/test_completeness.py::test_nothing_of_anybody_else_changes_not_even_beside_them_in_one_row",
    ),
    "E3": _says(
        "a column that nobody classified stops starts, acknowledgements and certificates, also "
        "when it was added to the running database",
        "erasure/test_live_schema.py::test_a_change_of_the_live_schema_stops_acknowledgements_and_starts",
    ),
    "E4": _says(
        "afterwards no id in any service names what is not there",
        "journeys/test_nothing_left.py::test_what_a_person_typed_is_everywhere_before_and_nowhere_after",
        "seed/test_across_services.py",
    ),
    "E5": _says(
        "a message that comes one to five times leaves the same state and is answered alike",
        "erasure/test_repetition.py::test_a_command_takes_effect_once_and_is_answered_alike_each_time",
        "simulation/test_machine.py::test_whatever_happens_in_whatever_order_who_asked_is_gone_and_nobody_else",
    ),
    "E6": _says(
        "in whatever order one creates, changes, consents and erases, the person ends erased",
        "erasure/test_repetition.py::test_whatever_the_order_of_writing_and_erasing_a_person_ends_erased",
        "simulation/test_machine.py::test_whatever_happens_in_whatever_order_who_asked_is_gone_and_nobody_else",
    ),
    "E7": _says(
        "killed at every labelled point, everything converges within the bound, with true evidence",
        "faults/test_crash_points.py",
    ),
    "E8": _says(
        "killed at a point, and again at any other: the same (long form)",
        "faults/test_crash_points.py",
    ),
    "E9": _says(
        "the whole history of the person, told again by every producer, brings nobody back",
        "journeys/test_no_return.py::test_nothing_that_was_said_about_a_person_brings_them_back",
        "simulation/test_model.py",
    ),
    "E10": _says(
        "any service restored to any earlier state serves nothing of an erased person, from its "
        "first answer; two at once, privacy, and behind a running process, too",
        "restore/test_services.py",
        "restore/test_privacy.py",
        "journeys/test_restored.py",
    ),
    "E12": _says(
        "partners that lie, are late, answer twice, never, or for somebody else close their own "
        "step at most; a service's credentials prove nothing about another",
        "privacy/test_partner_characters.py::test_partners_of_every_character_close_their_own_step_and_no_other",
        "journeys/test_forged.py::test_silence_and_forgery_are_never_success",
    ),
    "E13": _says(
        "whatever is left out of the declarations, the erasure, the checks or the participants is "
        "noticed by the build, the database, the start, the judgement or a test",
        "mutants/test_score.py",
        "mutants/test_participants.py",
        "mutants/test_queues.py",
        "erasure/test_refusals.py",
    ),
    "E14": _says(
        "every state has somebody who must act, a time, and an exit",
        "privacy/test_escalations.py",
        "privacy/test_waivers.py",
        "simulation/test_model.py",
    ),
    "E16": _says(
        "what must be kept stays until its date, unreadable, then goes, and only it",
        "privacy/test_proofs.py::test_proofs_stay_until_the_date_that_the_certificate_tells_and_the_chain_stays_whole",
        "privacy/test_last_message.py",
    ),
    "E18": _says(
        "who writes about a person during the erasure leaves nothing behind, and nobody waits for ever",
        "erasure/test_writers.py::test_whatever_is_written_during_an_erasure_goes_or_is_refused",
    ),
    "E20": _says(
        "what is exported and what is erased are the same set",
        "erasure/test_access.py::test_what_erasure_touches_and_what_is_shown_are_the_same_set",
    ),
    "E21": _says(
        "ordinary requests stay fast during a bulk erasure: a figure, `make bench ONLY=foreground`",
    ),
    "E22": _says(
        "a wrong clock or a bad rule deletes no more than the cap",
        "retention/test_breaker.py",
    ),
    "E23": _says(
        "one participant that never answers is enough: nothing is complete, nothing certified",
        "privacy/test_partner_characters.py::test_partners_of_every_character_close_their_own_step_and_no_other",
        "journeys/test_forged.py::test_silence_and_forgery_are_never_success",
    ),
}


def as_table() -> str:
    """The table of `README.md`."""
    lines = ["| | must hold | would turn red |", "| --- | --- | --- |"]
    for name, one in PROPERTIES.items():
        files = dict.fromkeys(test.partition("::")[0] for test in one.tests)
        lines.append(f"| {name} | {one.says} | {', '.join(f'`{file}`' for file in files) or '–'} |")
    return "\n".join(lines)
