"""The services as the manifests see them: what is equal is in the templates, what differs is here."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.local.layout import SERVICES


@dataclass(frozen=True, kw_only=True)
class Member:
    """One service, and in what it differs from the others."""

    name: str
    keys: tuple[str, ...]
    """Files of its own in the secrets folder, besides passwords: the keys of the Secret `<name>-keys`."""
    mail: bool = False
    """Sends mail."""
    calls: tuple[str, ...] = ("identity",)
    """Whose API it calls: identity for the keys of tokens."""

    @property
    def administers_broker(self) -> bool:
        """Privacy admits partner systems."""
        return self.name == "privacy"


MEMBERS = (
    Member(
        name="identity",
        keys=("evidence.pem", "throttle.key", "clients.json"),
        mail=True,
        calls=(),  # it has the keys itself
    ),
    Member(name="directory", keys=("evidence.pem",)),
    Member(name="consultations", keys=("evidence.pem",)),
    Member(
        name="privacy",
        keys=("evidence.pem", "certificates.pem", "sealing.key", "client_secret"),
        mail=True,
        calls=SERVICES,  # what each holds about somebody who asks
    ),
    Member(
        name="notifications",
        keys=("evidence.pem", "client_secret", "unsubscribe.key"),
        mail=True,
    ),
)
