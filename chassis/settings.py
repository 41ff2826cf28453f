"""What a process is told by its environment: variables `CCIB_…`, secrets as files.

Nothing secret has a default. A service subclasses `Settings` when it needs more.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The settings that every service reads."""

    model_config = SettingsConfigDict(env_prefix="CCIB_", extra="ignore", frozen=True)

    database_url: str
    """`postgresql://role:password@host:port/database`, this service's own."""
    database_pool: int = Field(default=10, ge=2, le=100)
    """Connections this process may hold; the relay holds one more."""
    amqp_url: str
    """`amqp://user:password@host:port/vhost`, this service's own broker user."""
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
    secrets_dir: Path
    """Folder of this service's secret files."""
    trust_dir: Path
    """Folder of public keys: `evidence/<service>.pem`, `certificates.jwks.json`, and in `ledger/*.pem`
    those with which privacy signed earlier entries of the ledger.
    """
    run_worker: bool = False
    """Run consumers and jobs inside the API process too, as the local stack does."""
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

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raises pydantic's `ValidationError` naming what is missing."""
        return cls()

    def secret(self, name: str) -> str:
        """The content of a secret file; raises `FileNotFoundError` naming the file."""
        return (self.secrets_dir / name).read_text(encoding="utf-8").strip()
