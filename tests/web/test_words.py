"""Every code that the interface gives is called something in French."""

from enum import StrEnum

import pytest

from chassis.catalogue import Basis, Fate
from contracts.privacy import Outcome, Reason, Right
from services.consultations import schemas as consultations
from services.directory.models.communities import DecisionRole
from services.privacy.models.exports import ExportState
from services.privacy.models.rights import ActorRole, Channel, RightsState, RightsStep
from services.privacy.schemas.waivers import WaiverReason
from web import words
from web.pages.own_data import COPIES
from web.pages.rights import STATES
from web.rendering import tight


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (Basis, words.BASES),
        (Fate, words.FATES),
        (Reason, words.ERASURE_REASONS),
        (Outcome, words.OUTCOMES),
        (Right, words.RIGHTS),
        (WaiverReason, words.WAIVERS),
        (RightsState, words.RIGHTS_STATES),
        (RightsState, STATES),
        (RightsStep, words.RIGHTS_STEPS),
        (Channel, words.CHANNELS),
        (ActorRole, words.ACTORS),
        (ExportState, COPIES),
        (DecisionRole, words.DECIDERS),
        (consultations.Kind, words.CONSULTATION_KINDS),
        (consultations.State, words.CONSULTATION_STATES),
        (consultations.ReplyState, words.REPLY_STATES),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
def test_every_code_has_its_word(codes: type[StrEnum], said: dict[str, object]) -> None:
    assert {code.value for code in codes} - said.keys() == set(), "no word for it"
    assert said.keys() - {code.value for code in codes} <= {"waived"}, "a word for nothing"


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>Qui les lit : « nous » !</p>", "<p>Qui les lit~: «~nous~»~!</p>"),
        ('<a href="/x" title="a : b">Où ?</a>', '<a href="/x" title="a : b">Où~?</a>'),
        ("<textarea>a : b ?</textarea> <code>x : y</code>", "<textarea>a : b ?</textarea> <code>x : y</code>"),
        ("50 % &amp; plus ; 12 :30 http ://x", "50~% &amp; plus~; 12 :30 http ://x"),
    ],
)  # fmt: skip
def test_no_line_ends_before_double_punctuation(html: str, shown: str) -> None:
    assert tight(html) == shown.replace("~", "\u00a0")
