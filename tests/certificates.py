"""An authority for tests, the certificates it gives to servers, and doors that show them."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local import processes

NAME = "localhost"
"""The only name in the servers' certificates: `127.0.0.1` is another one."""


@dataclass(frozen=True)
class Certificates:
    """Files of a server: the authority to believe, its certificate, its key."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """A new authority, and a certificate for `NAME`; whoever runs the servers may read both."""
        folder.mkdir(parents=True, exist_ok=True)
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca_name, name = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("test CA", NAME)
        )
        ca = _builder(subject=ca_name, issuer=ca_name, public_key=ca_key.public_key())
        ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        leaf = _builder(subject=name, issuer=ca_name, public_key=key.public_key())
        leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        made = cls(folder / "ca.crt", folder / "server.crt", folder / "server.key")
        for path, content in (
            (made.ca, ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)),
            (
                made.certificate,
                leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            ),
            (
                made.key,
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
            ),
        ):
            path.write_bytes(content)
        made.key.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(made.key, processes.UNPRIVILEGED, processes.UNPRIVILEGED)
        return made


def _builder(
    *, subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)  # noqa: TID251 - of the machine: TLS knows no shifted clock
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
    )


@dataclass(frozen=True)
class SecureBroker:
    """Two more doors of a RabbitMQ of ours, with TLS: AMQP and management."""

    certificates: Certificates
    amqps: int
    https: int

    @classmethod
    def prepare(cls, folder: Path) -> Self:
        amqps, https = processes.free_ports(2)
        return cls(Certificates.make(folder), amqps, https)

    @property
    def settings(self) -> str:
        """Lines for its configuration."""
        files = {
            "cacertfile": self.certificates.ca,
            "certfile": self.certificates.certificate,
            "keyfile": self.certificates.key,
        }
        return "\n".join(
            [
                f"listeners.ssl.default = 127.0.0.1:{self.amqps}",
                *(f"ssl_options.{name} = {path}" for name, path in files.items()),
                "ssl_options.verify = verify_none",
                "ssl_options.fail_if_no_peer_cert = false",
                "management.ssl.ip = 127.0.0.1",
                f"management.ssl.port = {self.https}",
                *(f"management.ssl.{name} = {path}" for name, path in files.items()),
                "",
            ]
        )

    def addresses(self, amqp_url: str) -> dict[str, str]:
        """The doors by `NAME` with the administrator's user and password, and whom to believe."""
        user = urlsplit(amqp_url).netloc.rpartition("@")[0]
        return {
            "secure_amqp_url": f"amqp://{user}@{NAME}:{self.amqps}/",
            "secure_management_url": f"http://{user}@{NAME}:{self.https}",
            "broker_ca": str(self.certificates.ca),
        }
