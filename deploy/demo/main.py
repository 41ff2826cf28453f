"""Fill a platform that runs from images: `python -m deploy.demo.main`, once.

Again, it says that the demo is there. `make run` and `ccib seed` do the same for the local stack
(`deploy/local/first_run.py`).

Exit code 0: the demo is there. 1: it was refused, and nothing was written. 3: a database or the
storage did not answer; the next run completes what is missing.
"""

import asyncio
import sys
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.addresses import with_password
from deploy.demo.accounts import DEMO_ACCOUNTS
from deploy.demo.fill import SeedStoppedError, fill
from deploy.demo.generate import COMPANIES
from deploy.demo.load import WRITERS, SeedRefusedError

REFUSED, SILENT = 1, 3
"""Exit codes, as the `ccib` command has them."""


class Settings(BaseSettings):
    """What the command is told: variables `CCIB_…`, secrets as files."""

    model_config = SettingsConfigDict(
        env_prefix="CCIB_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    secrets_dir: Path
    """Folder of secret files: `database_password_<service>` of every owner, and `demo_password`."""
    database_urls: dict[str, str]
    """By service, as JSON: `postgresql://ccib_<service>_owner@host:port/ccib_<service>`. Owners, for
    temporary tables are made; complete once it is read.
    """
    storage_url: str
    """Where the directory keeps its files, photos among them: `file:///…`."""
    seed_companies: int = Field(default=COMPANIES, ge=10)
    """How many companies; people and calls in proportion."""

    @field_validator("database_urls")
    @classmethod
    def _databases(cls, urls: dict[str, str], told: ValidationInfo) -> dict[str, str]:
        if urls.keys() != WRITERS.keys():
            raise ValueError(f"one address for each of {', '.join(WRITERS)}")
        folder = told.data.get("secrets_dir")
        if folder is None:  # told as missing already
            return urls
        return {
            service: with_password(url, folder / f"database_password_{service}")
            for service, url in urls.items()
        }

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raises pydantic's `ValidationError` naming what is missing."""
        return cls()

    def secret(self, name: str) -> str:
        """The content of a secret file; raises `FileNotFoundError` naming the file."""
        return (self.secrets_dir / name).read_text(encoding="utf-8").strip()


def main() -> int:
    """The command; returns its exit code."""
    settings = Settings.load()
    try:
        rows = asyncio.run(
            fill(
                urls=settings.database_urls,
                password=settings.secret("demo_password"),
                storage={"directory": settings.storage_url},
                companies=settings.seed_companies,
                progress=lambda _, records: _say(f"{records:,} records written"),
            )
        )
    except SeedRefusedError as error:
        sys.stderr.write(f"the demo data were refused: {error}\n")
        return REFUSED
    except SeedStoppedError as error:
        sys.stderr.write(f"the demo data could not be written: {error}\n")
        return SILENT
    if not rows:
        _say("the demo was there already; nothing was written")
    for service, count in rows.items():
        _say(f"{service}: {count:,} rows")
    _say("accounts, all with the password of the secret demo_password:")
    for role, email in DEMO_ACCOUNTS.items():
        _say(f"  {role}: {email}")
    return 0


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
