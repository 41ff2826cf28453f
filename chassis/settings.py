"""What a process is told by its environment: variables `CCIB_…`, secrets as files.

Nothing secret has a default. A password stands in its own file of the secrets folder
(`database_password`, `amqp_password`, `smtp_password`, `broker_admin_password`), or in the address
itself; then the file is not read. A service subclasses `Settings` when it needs more.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.addresses import verified_broker, verified_database, with_password


class DatabaseSettings(BaseSettings):
    """Where a service's database is: all that its migrations read, and the beginning for the service."""

    model_config = SettingsConfigDict(
        env_prefix="CCIB_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # First what the address is completed with.
    secrets_dir: Path | None = None
    """Folder of this process's secret files."""
    database_ca_file: Path | None = None
    """Certificates of the authority that vouches for PostgreSQL: then it is spoken to by TLS alone."""
    database_url: str
    """`postgresql://role@host:port/database`, this service's own; complete once it is read."""

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: str, told: ValidationInfo) -> str:
        return verified_database(_opened(url, told, "database"), told.data.get("database_ca_file"))

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raises pydantic's `ValidationError` naming what is missing."""
        return cls()


class MigrationSettings(DatabaseSettings):
    """What `python -m services.<name>.migrations` is told; it logs in as the owner of the tables."""

    runtime_role: str | None = None
    """The service's own role, which gets its rights; without it nobody's rights are changed."""


class Settings(DatabaseSettings):
    """The settings that every service reads."""

    secrets_dir: Path
    """Folder of this service's secret files."""
    amqp_ca_file: Path | None = None
    """As for the database: for RabbitMQ, its management API included."""
    database_pool: int = Field(default=10, ge=2, le=100)
    """Connections this process may hold; the relay holds one more."""
    amqp_url: str
    """`amqp://user@host:port/vhost`, this service's own broker user; complete once it is read."""
    broker_prefix: str = ""
    """Prefix of broker user names, for several platforms on one broker."""
    identity_url: str
    """Where identity answers inside the platform: keys and internal reads."""
    issuer: str
    """The `iss` of access tokens: the public address of the platform."""
    public_url: str
    """Where people reach the site; the base of links in mails."""
    storage_url: str
    """Folder (`file:///…`) or bucket of this service's files."""
    ledger_url: str
    """Folder (`file:///…`) or bucket of the ledger copy, shared by all services."""
    trust_dir: Path
    """Folder of public keys: `evidence/<service>.pem`, `certificates.jwks.json`, and in `ledger/*.pem`
    those with which privacy signed earlier entries of the ledger.
    """
    run_worker: bool = False
    """Run consumers and jobs inside the API process too, as the local stack does."""
    rehearsal_hour: int | None = Field(default=None, ge=0, le=23)
    """Paris time from which on workers rehearse an erasure each night (`chassis.rehearsal`): an hour
    in which few people are there. None: only when an operator asks.
    """
    api_docs: bool = False
    """Serve the description of the interface, and its pages."""
    log_format: Literal["json", "console"] = "json"
    max_body_bytes: int = Field(default=1_000_000, ge=1_000)
    """Largest request body, files excepted."""

    operations_host: str = "127.0.0.1"
    operations_port: int | None = Field(default=None, ge=1, le=65_535)
    """Probes and metrics answer here, for nobody outside the platform; None: nowhere."""
    otlp_endpoint: str | None = None
    """Collector of traces, `http://host:4318` (OTLP over HTTP); None: nothing is traced."""
    otlp_sample: float = Field(default=0.1, ge=0, le=1)
    """Share of the traces that begin here; one that began elsewhere goes on as it began."""

    @field_validator("amqp_url")
    @classmethod
    def _broker(cls, url: str, told: ValidationInfo) -> str:
        return verified_broker(_opened(url, told, "amqp"), told.data.get("amqp_ca_file"))

    @field_validator("broker_admin_url", check_fields=False)
    @classmethod
    def _broker_admin(cls, url: str, told: ValidationInfo) -> str:
        return verified_broker(_opened(url, told, "broker_admin"), told.data.get("amqp_ca_file"))

    @field_validator("smtp_url", check_fields=False)
    @classmethod
    def _smtp(cls, url: str, told: ValidationInfo) -> str:
        return _opened(url, told, "smtp")

    def secret(self, name: str) -> str:
        """The content of a secret file; raises `FileNotFoundError` naming the file."""
        return (self.secrets_dir / name).read_text(encoding="utf-8").strip()

    def storage_credentials(self) -> dict[str, str]:
        """Key and secret of the object storage; empty when there are no files of them.

        Then the storage is a folder, or takes who asks from the machine it runs on. One file without
        the other is a mistake: raises `FileNotFoundError` naming what is missing.
        """
        if not any((self.secrets_dir / f"storage_{name}").exists() for name in _STORAGE):
            return {}
        return {name: self.secret(f"storage_{name}") for name in _STORAGE}


_STORAGE = ("access_key_id", "secret_access_key")


def _opened(url: str, told: ValidationInfo, name: str) -> str:
    """The address with its password; without a folder of secrets, that is already told as missing."""
    folder = told.data.get("secrets_dir")
    return url if folder is None else with_password(url, folder / f"{name}_password")
