"""The nouns of the directory: people, companies, communities."""

from chassis.catalogue import seal
from services.directory.models.base import METADATA
from services.directory.models.communities import (
    LIVE,
    CciAgent,
    Community,
    CommunityAnimator,
    DecisionRole,
    Membership,
    MembershipState,
)
from services.directory.models.companies import (
    Attachment,
    AttachmentState,
    Company,
    classified,
    located,
)
from services.directory.models.people import Photo, PhotoState, Profile

__all__ = [
    "LIVE",
    "METADATA",
    "Attachment",
    "AttachmentState",
    "CciAgent",
    "Community",
    "CommunityAnimator",
    "Company",
    "DecisionRole",
    "Membership",
    "MembershipState",
    "Photo",
    "PhotoState",
    "Profile",
    "catalogue",
    "classified",
    "located",
]

catalogue = seal(service="directory", metadata=METADATA)
