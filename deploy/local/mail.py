"""The mail sink: takes every mail the platform sends, keeps it, and shows it. Nothing leaves.

One process: SMTP on one port, a page and a small JSON API on another. A mail is two files in the
spool folder, so a restart keeps it. `CCIB_MAIL_SPOOL` and `CCIB_MAIL_SMTP_PORT` configure it.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import html
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException, Request, Response  # noqa: TID251 - no chassis here
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from chassis import clock
from chassis.ids import new_id
from deploy.local import pages

KEPT = 1000
"""Mails kept; the oldest leave."""

MAX_BYTES = 10_000_000

# A mail is somebody else's page: no script, no form, no request to anywhere; links open a tab.
FOREIGN_PAGE = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data:"
)

_LINK = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]]")


@dataclass(frozen=True)
class Summary:
    """A line of the list."""

    id: str
    to: list[str]
    sender: str
    subject: str
    received_at: str

    def as_json(self) -> dict[str, Any]:
        line = asdict(self)
        line["from"] = line.pop("sender")
        return line


class Spool:
    """The folder of kept mails, newest first. Ids are UUIDv7: their order is that of arrival."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, *, content: bytes, recipients: list[str]) -> None:
        """Write the content first: a line of the list always has its mail."""
        message = _parse(content)
        summary = Summary(
            id=str(new_id()),
            to=recipients,
            sender=str(message["from"] or ""),
            subject=str(message["subject"] or ""),
            received_at=clock.now().isoformat(timespec="milliseconds"),
        )
        self._path(summary.id, "eml").write_bytes(content)
        draft = self._path(summary.id, "new")
        draft.write_text(json.dumps(asdict(summary)), encoding="utf-8")
        draft.replace(self._path(summary.id, "json"))
        for old in self._ids()[KEPT:]:
            self._remove(old)

    def summaries(self) -> list[Summary]:
        return [
            Summary(**json.loads(self._path(name, "json").read_text(encoding="utf-8")))
            for name in self._ids()
        ]

    def read(self, name: str) -> tuple[Summary, bytes]:
        """Raises KeyError for a mail that is not there."""
        if name not in self._ids():
            raise KeyError(name)
        summary = Summary(**json.loads(self._path(name, "json").read_text(encoding="utf-8")))
        return summary, self._path(name, "eml").read_bytes()

    def empty(self) -> None:
        for name in self._ids():
            self._remove(name)

    def _ids(self) -> list[str]:
        return sorted((path.stem for path in self._folder.glob("*.json")), reverse=True)

    def _path(self, name: str, kind: str) -> Path:
        return self._folder / f"{name}.{kind}"

    def _remove(self, name: str) -> None:
        self._path(name, "json").unlink(missing_ok=True)
        self._path(name, "eml").unlink(missing_ok=True)


class Sink:
    """The SMTP side: accepts every recipient and every mail."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.original_content or b""
        self._spool.keep(content=content, recipients=list(envelope.rcpt_tos))
        return "250 kept"


def create_app() -> FastAPI:
    """Started by `uvicorn --factory`."""
    return build_app(
        spool=Spool(Path(os.environ["CCIB_MAIL_SPOOL"])),
        smtp_port=int(os.environ["CCIB_MAIL_SMTP_PORT"]),
    )


def build_app(*, spool: Spool, smtp_port: int) -> FastAPI:
    """The page and the JSON API; the SMTP server lives as long as they do."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(
                Sink(spool), data_size_limit=MAX_BYTES, enable_SMTPUTF8=True, hostname="localhost"
            ),
            "127.0.0.1",
            smtp_port,
        )
        async with server:
            yield

    app = FastAPI(title="Mails", openapi_url=None, lifespan=lifespan)
    # A page elsewhere must not read the mails through a name of its own that points here.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    pages.add_static(app)

    @app.get("/")
    def index() -> HTMLResponse:
        return pages.render("mail_list.html", messages=spool.summaries(), when=_when)

    @app.get("/mails/{name}")
    def page(name: str) -> HTMLResponse:
        summary, content = _read(spool, name)
        text, rich = _bodies(_parse(content))
        return pages.render(
            "mail.html",
            message=summary,
            when=_when,
            text=_with_links(text) if text else "",
            has_html=bool(rich),
        )

    @app.get("/mails/{name}/html")
    def rich_body(name: str) -> Response:
        _, content = _read(spool, name)
        _, rich = _bodies(_parse(content))
        return HTMLResponse(
            f'<base target="_blank">{rich}', headers={"Content-Security-Policy": FOREIGN_PAGE}
        )

    @app.get("/messages")
    def messages() -> list[dict[str, Any]]:
        return [summary.as_json() for summary in spool.summaries()]

    @app.get("/messages/{name}")
    def message(name: str) -> dict[str, Any]:
        summary, content = _read(spool, name)
        parsed = _parse(content)
        text, rich = _bodies(parsed)
        return {
            **summary.as_json(),
            "headers": [[key, str(value)] for key, value in parsed.items()],
            "text": text,
            "html": rich,
            "raw": content.decode("utf-8", errors="replace"),
        }

    @app.delete("/messages", status_code=204)
    def empty() -> None:
        spool.empty()

    @app.exception_handler(404)
    def missing(_request: Request, _error: Exception) -> HTMLResponse:
        return pages.render("missing.html", status=404)

    return app


def _read(spool: Spool, name: str) -> tuple[Summary, bytes]:
    try:
        return spool.read(name)
    except KeyError:
        raise HTTPException(404) from None


def _parse(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101 - the policy decides the class
    return message


def _bodies(message: EmailMessage) -> tuple[str, str]:
    """The text and the HTML version; either may be missing."""
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    return (
        plain.get_content() if plain else "",
        rich.get_content() if rich else "",
    )


def _with_links(text: str) -> Markup:
    """Escaped text whose addresses can be followed."""
    parts: list[str] = []
    end = 0
    for match in _LINK.finditer(text):
        address = html.escape(match.group())
        parts += [
            html.escape(text[end : match.start()]),
            f'<a href="{address}" rel="noopener noreferrer">{address}</a>',
        ]
        end = match.end()
    return Markup("".join([*parts, html.escape(text[end:])]))  # noqa: S704 - escaped above


def _when(instant: str) -> str:
    """Local time, as people here read it."""
    return datetime.fromisoformat(instant).astimezone().strftime("%d/%m/%Y à %H:%M:%S")
