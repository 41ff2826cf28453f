"""What the clock starts in identity."""

from datetime import timedelta

from chassis import crash, mail
from chassis.mail import MailNotSentError, MailRefusedError
from chassis.service import Job, Runtime
from services.identity.actions import accounts, links
from services.identity.messages import message_for


async def send_links(runtime: Runtime) -> None:
    """Send the mails that wait, each token known to the database before it leaves the house."""
    async with runtime.db.transaction() as session:
        claimed = await links.claim(session)
    crash.point("identity.after_link_claim")
    for link in claimed:
        sent = await _send(runtime, link)
        async with runtime.db.transaction() as session:
            await links.settle(session, link_id=link.link_id, sent=sent)
        crash.point("identity.after_link_settled")


async def _send(runtime: Runtime, link: links.LinkToSend) -> bool:
    settings = runtime.settings
    message = message_for(link.purpose, public_url=settings.public_url, token=link.token)
    try:
        await mail.send(
            smtp_url=settings.smtp_url,
            sender=settings.mail_from,
            to=link.email,
            subject=message.subject,
            text=message.text,
        )
    except MailRefusedError:
        return True  # this address takes no mail: asking again will not change it
    except MailNotSentError:
        return False
    crash.point("identity.after_link_mail")
    return True


async def repeat_deletions(runtime: Runtime) -> None:
    """Privacy may have been away: the wish to be deleted is told until it has arrived."""
    async with runtime.db.transaction() as session:
        await accounts.repeat_deletions(session)
    crash.point("identity.after_repeat_deletions")


async def repeat_roles(runtime: Runtime) -> None:
    """Nobody whose work is here is taken for somebody who never came."""
    async with runtime.db.transaction() as session:
        await accounts.repeat_roles(session)
    crash.point("identity.after_repeat_roles")


async def sweep(runtime: Runtime) -> None:
    """Forget what has had its time."""
    async with runtime.db.transaction() as session:
        await accounts.sweep(session)
    crash.point("identity.after_sweep")


JOBS = (
    Job(name="send_links", every=timedelta(seconds=2), run=send_links, bell=links.MAIL_BELL),
    Job(name="repeat_deletions", every=timedelta(seconds=2), run=repeat_deletions),
    Job(name="repeat_roles", every=timedelta(hours=24), run=repeat_roles),
    Job(name="sweep", every=timedelta(minutes=5), run=sweep),
)
