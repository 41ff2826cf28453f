"""The nouns of privacy: erasures and their proof, participants, notices, consents."""

from chassis.catalogue import seal
from services.privacy.models.base import METADATA, one_month_after
from services.privacy.models.cookies import CookieChoice
from services.privacy.models.erasures import (
    LAST_MESSAGE,
    PROOF,
    Broadcast,
    Erasure,
    ErasureAlias,
    LastMessage,
    Refusal,
    Step,
)
from services.privacy.models.escalations import LEVELS, Escalation, EscalationMail
from services.privacy.models.exports import (
    EXPORT_KEPT,
    EXPORT_PATIENCE,
    EXPORTS_PER_DAY,
    Export,
    ExportState,
)
from services.privacy.models.missed import Missed
from services.privacy.models.notices import Consent, Means, Notice
from services.privacy.models.participants import Manifest, Participant
from services.privacy.models.retention import MembershipsHeard, Retention, RetentionRun
from services.privacy.models.rights import (
    RightsContact,
    RightsEvent,
    RightsMail,
    RightsRequest,
)
from services.privacy.models.waivers import Waiver

__all__ = [
    "EXPORTS_PER_DAY",
    "EXPORT_KEPT",
    "EXPORT_PATIENCE",
    "LAST_MESSAGE",
    "LEVELS",
    "METADATA",
    "PROOF",
    "Broadcast",
    "Consent",
    "CookieChoice",
    "Erasure",
    "ErasureAlias",
    "Escalation",
    "EscalationMail",
    "Export",
    "ExportState",
    "LastMessage",
    "Manifest",
    "Means",
    "MembershipsHeard",
    "Missed",
    "Notice",
    "Participant",
    "Refusal",
    "Retention",
    "RetentionRun",
    "RightsContact",
    "RightsEvent",
    "RightsMail",
    "RightsRequest",
    "Step",
    "Waiver",
    "catalogue",
    "one_month_after",
]

catalogue = seal(service="privacy", metadata=METADATA)
