"""What partners copy works without us, and catches a partner who does it wrong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.__main__ import FOLDER
from contracts.privacy import PartnerAcknowledged
from contracts.registry import PARTNERS_HEAR

WRONG = {
    "brings people back": (
        ' and not _is_forgotten(database, data["person_id"])',
        "",
        "test_a_late_fact_brings_nobody_back",
    ),
    "obeys anybody": (
        ' and exchange == "ccib.commands"',
        "",
        "test_only_the_exchange_of_commands_gives_commands",
    ),
    "answers differently the second time": (
        "INSERT OR IGNORE INTO answered",
        "INSERT OR REPLACE INTO answered",
        "test_a_repeated_command_gets_the_same_answer",
    ),
    "answers another command": (
        '"entry_hash": data["entry_hash"]',
        '"entry_hash": "0"',
        "test_a_member_is_known_and_then_forgotten",
    ),
    "only says so": (
        "DELETE FROM member WHERE person_id = ?",
        "UPDATE member SET membership_id = membership_id WHERE person_id = ?",
        "test_a_member_is_known_and_then_forgotten",
    ),
    "knows every field there will ever be": (
        "subject_id: str, **_: Any",
        "subject_id: str",
        "test_fields_that_come_later_do_no_harm",
    ),
    "keeps no secrets": (
        '"datacontenttype"',
        '"subject": "a name",\n                "datacontenttype"',
        "test_everybody_in_a_command_is_answered_for_once",
    ),
}


def copied(folder: Path) -> Path:
    """What a partner has of us, where nothing of ours can be imported."""
    for name in ("schemas", "examples"):
        shutil.copytree(
            FOLDER / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    (folder / "pytest.ini").touch()
    return folder / "examples"


def start(examples: Path) -> subprocess.Popen[str]:
    """The partner's tests in a process, with pytest and nothing that plugs into it."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no"],
        cwd=examples,
        env={"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_there_is_an_example_of_all_that_partners_hear_and_say() -> None:
    found = {path.stem for path in (FOLDER / "examples").glob("*.json")}
    assert found == {event.event_type() for event in (*PARTNERS_HEAR, PartnerAcknowledged)}


def test_the_tests_of_a_partner_pass_where_nothing_of_ours_is(tmp_path: Path) -> None:
    examples = copied(tmp_path)
    text = (examples / "test_partner.py").read_text() + (examples / "consumer.py").read_text()
    assert not any(name in text for name in ("import chassis", "from contracts", "from deploy"))
    process = start(examples)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert " passed" in said


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the tests say of each wrong partner; all of them at once."""
    processes = {}
    for name, (right, wrong, _) in WRONG.items():
        examples = copied(tmp_path_factory.mktemp("partner"))
        source = (examples / "consumer.py").read_text()
        assert right in source
        (examples / "consumer.py").write_text(source.replace(right, wrong))
        processes[name] = start(examples)
    return {name: process.communicate(timeout=90)[0] for name, process in processes.items()}


@pytest.mark.parametrize("name", WRONG)
def test_a_partner_who_does_it_wrong_is_found_out(verdicts: dict[str, str], name: str) -> None:
    assert f"FAILED test_partner.py::{WRONG[name][2]}" in verdicts[name], verdicts[name]


def test_the_page_for_partners_shows_what_is_there() -> None:
    """Its code is the code that is tested, its messages are the examples."""
    page = Path("docs/partners.md").read_text()
    consumer = (FOLDER / "examples" / "consumer.py").read_text()
    examples = {path.read_text() for path in (FOLDER / "examples").glob("*.json")}
    shown = re.findall(r"```(python|json)\n(.*?)```", page, flags=re.DOTALL)
    assert len(shown) == 4
    for language, text in shown:
        assert text in (consumer if language == "python" else examples)
    for link in re.findall(r"\]\((\.\./[^)]+)\)", page):
        assert (Path("docs") / link).exists(), link
    for event in PARTNERS_HEAR:
        assert f"| `{event.event_type()}` | `{event.kind.value}` |" in page
