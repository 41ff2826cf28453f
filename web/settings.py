"""What the site is told by its environment: variables `CCIB_…`, secrets as files."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Nothing here names a database, a broker or the port of a service."""

    model_config = SettingsConfigDict(env_prefix="CCIB_", extra="ignore", frozen=True)

    gateway_url: str
    """The gateway's door for the site, which believes what the site says of its visitors' addresses."""
    public_url: str
    """Where people reach the site."""
    secrets_dir: Path
    """Holds `client_secret`, of the client `web`, and `forms.key`, which signs forms."""
    log_format: Literal["json", "console"] = "json"

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
