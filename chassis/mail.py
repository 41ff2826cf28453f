"""Sending one mail over SMTP; what it says is the business of the service that sends it."""

from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlparse

import aiosmtplib


class MailNotSentError(Exception):
    """The server did not take the mail; trying again later is right."""


async def send(
    *,
    smtp_url: str,
    sender: str,
    to: str,
    subject: str,
    text: str,
    headers: Mapping[str, str] | None = None,
    attachments: Mapping[str, bytes] | None = None,
) -> None:
    """Hand a plain-text mail to the server; returns once the server has accepted it.

    Raises `MailNotSentError` without the address or the text in it.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain="ccibusiness.example")
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(text)
    for name, content in (attachments or {}).items():
        message.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=name
        )
    server = urlparse(smtp_url)
    try:
        await aiosmtplib.send(
            message,
            hostname=server.hostname,
            port=server.port,
            username=unquote(server.username) if server.username else None,
            password=unquote(server.password) if server.password else None,
            use_tls=server.scheme == "smtps",
            start_tls=None if server.username else False,
            timeout=10,
        )
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailNotSentError(type(error).__name__) from None
