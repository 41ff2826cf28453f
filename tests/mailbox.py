"""An SMTP server for tests: mails arrive over a socket, as they would anywhere."""

import asyncio
import re
import socket
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """Every mail that was sent, oldest first."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.unknown: set[str] = set()
        """Addresses that it says it does not have."""
        self.refusing = False
        """Whether it puts off whatever is sent; `refused` counts how often it did."""
        self.refused = 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port, ready_timeout=10)

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 5.1.1 unknown"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refusing:
            self.refused += 1
            return "451 Requested action aborted: try again later"
        content: Any = envelope.content
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._controller.stop()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._port}"

    def to(self, address: str) -> list[EmailMessage]:
        """The mails to one address."""
        return [mail for mail in self.mails if mail["To"] == address]

    async def wait_for(self, address: str, *, count: int = 1, seconds: float = 10) -> EmailMessage:
        """The newest mail to that address, once there are `count`."""
        for _ in range(int(seconds * 50)):
            found = self.to(address)
            if len(found) >= count:
                return found[-1]
            await asyncio.sleep(0.02)
        raise AssertionError(f"{len(self.to(address))} mails to {address}, expected {count}")


def token_in(mail: EmailMessage) -> str:
    """The token of the first link in a mail."""
    found = re.search(r"token=([\w.-]+)", mail.get_content())
    assert found, mail.get_content()
    return found.group(1)
