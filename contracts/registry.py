"""Every event there is, by type; its JSON Schema; who listens to it."""

from collections.abc import Mapping
from typing import Any

from contracts import consultations, directory, identity, notifications, privacy
from contracts.base import TYPE_PREFIX, Envelope, Event
from contracts.consultations import (
    ConsultationCancelled,
    ConsultationClosed,
    ConsultationPublished,
)
from contracts.directory import (
    AnimatorAppointed,
    AnimatorDismissed,
    CommunityOpened,
    CompanyUnlisted,
    MembershipEnded,
    MembershipGranted,
    MembershipRefused,
    MembershipRequested,
    MembershipsTold,
    PersonAttached,
    PersonDetached,
)
from contracts.identity import AccountLocked, AccountOpened, RolesChanged
from contracts.notifications import RetentionWarningSettled
from contracts.privacy import (
    Erase,
    ErasureAcknowledged,
    ManifestAnnounced,
    NoticePublished,
    PartnerAcknowledged,
    ProcessingObjected,
    RetentionWarningDue,
)

_MODULES = (consultations, directory, identity, notifications, privacy)

PARTNERS = "partner"
"""The owner of what partner systems say."""
HEARD_FROM_PARTNERS = f"{TYPE_PREFIX}.{PARTNERS}."

PARTNERS_HEAR: tuple[type[Event], ...] = (Erase, MembershipGranted, MembershipEnded)
"""What is in the queue of a partner: erasures, and who belongs to which community, by opaque id."""

LISTENERS: Mapping[str, tuple[type[Event], ...]] = {
    "consultations": (
        Erase,
        PersonAttached,
        PersonDetached,
        CommunityOpened,
        AnimatorAppointed,
        AnimatorDismissed,
        MembershipGranted,
        MembershipEnded,
        CompanyUnlisted,
    ),
    "directory": (Erase,),
    "identity": (Erase,),
    "notifications": (
        Erase,
        CommunityOpened,
        AnimatorAppointed,
        AnimatorDismissed,
        MembershipRequested,
        MembershipGranted,
        MembershipRefused,
        MembershipEnded,
        ConsultationPublished,
        ConsultationClosed,
        ConsultationCancelled,
        NoticePublished,
        ProcessingObjected,
        RetentionWarningDue,
    ),
    "privacy": (
        Erase,
        AccountOpened,
        AccountLocked,
        RolesChanged,
        AnimatorAppointed,
        MembershipGranted,
        MembershipsTold,
        RetentionWarningSettled,
        ManifestAnnounced,
        ErasureAcknowledged,
        PartnerAcknowledged,
    ),
}
"""Who would notice a change; `tests/contracts` holds it against the wiring of each service."""


def all_events() -> dict[str, type[Event]]:
    """Each event class under its CloudEvents type."""
    found = {
        value.event_type(): value
        for module in _MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Event) and value is not Event
    }
    return dict(sorted(found.items()))


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of the whole CloudEvent."""
    envelope = Envelope.model_json_schema()
    data = event.model_json_schema()
    definitions = data.pop("$defs", {})
    envelope["title"] = event.__name__
    envelope["description"] = (event.__doc__ or "").partition("\n")[0]
    envelope["properties"]["type"] = {"const": event.event_type(), "type": "string"}
    envelope["properties"]["data"] = data
    if definitions:
        envelope["$defs"] = definitions
    envelope["x-exchange"] = event.kind.value
    envelope["x-routing-key"] = event.routing_key()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **envelope}
