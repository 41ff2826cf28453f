"""The nouns of privacy: erasures and their proof, participants, notices, consents."""

from chassis.catalogue import seal
from services.privacy.models.base import METADATA, one_month_after
from services.privacy.models.erasures import (
    LAST_MESSAGE,
    PROOF,
    Broadcast,
    Erasure,
    LastMessage,
    Refusal,
    Step,
)
from services.privacy.models.notices import Consent, Notice
from services.privacy.models.participants import Manifest, Participant

__all__ = [
    "LAST_MESSAGE",
    "METADATA",
    "PROOF",
    "Broadcast",
    "Consent",
    "Erasure",
    "LastMessage",
    "Manifest",
    "Notice",
    "Participant",
    "Refusal",
    "Step",
    "catalogue",
    "one_month_after",
]

catalogue = seal(service="privacy", metadata=METADATA)
