"""Sending one mail over SMTP; what it says is the business of the service that sends it."""

from collections.abc import Mapping
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlparse

import aiosmtplib


class MailNotSentError(Exception):
    """The server did not take the mail; trying again later is right."""


class MailRefusedError(MailNotSentError):
    """The server knows that it can never deliver to this address."""


class _Whole(UnstructuredHeader, BaseHeader):
    """A header with a web address: folding would encode a long one, which no mail program decodes."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_headers = HeaderRegistry()
_headers.map_to_type("list-unsubscribe", _Whole)
_POLICY = EmailPolicy(header_factory=_headers)


async def send(
    *,
    smtp_url: str,
    sender: str,
    to: str,
    subject: str,
    text: str,
    headers: Mapping[str, str] | None = None,
    attachments: Mapping[str, bytes] | None = None,
    message_id: str | None = None,
) -> None:
    """Hand a plain-text mail to the server; returns once the server has accepted it.

    A `message_id` of the caller's own lets the receiver see that a repeated mail is the same. Raises
    `MailNotSentError`, or `MailRefusedError` of its kind, without the address or the text in it.
    """
    message = EmailMessage(policy=_POLICY)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = message_id or make_msgid(domain="ccibusiness.example")
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(text)
    for name, content in (attachments or {}).items():
        subtype = "pdf" if name.endswith(".pdf") else "octet-stream"
        message.add_attachment(content, maintype="application", subtype=subtype, filename=name)
    server = urlparse(smtp_url)
    try:
        await aiosmtplib.send(
            message,
            hostname=server.hostname,
            port=server.port,
            username=unquote(server.username) if server.username else None,
            password=unquote(server.password) if server.password else None,
            use_tls=server.scheme == "smtps",
            # A password goes over an encrypted connection or not at all.
            start_tls=bool(server.username) and server.scheme != "smtps",
            timeout=10,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        for_good = all(refusal.code >= 500 for refusal in error.recipients)
        raise (MailRefusedError if for_good else MailNotSentError)(type(error).__name__) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailNotSentError(type(error).__name__) from None
