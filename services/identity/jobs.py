"""What the clock starts in identity."""

from datetime import timedelta

from chassis import clock, mail
from chassis.mail import MailNotSentError
from chassis.service import Job, Runtime
from services.identity import actions
from services.identity.credentials import new_secret
from services.identity.messages import message_for
from services.identity.models import LinkPurpose


async def send_links(runtime: Runtime) -> None:
    """Send the mails that wait. A link that was sent but not marked is sent again, with a new token."""
    async with runtime.db.transaction() as session:
        for link, email in await actions.due_links(session):
            token = new_secret()
            message = message_for(
                LinkPurpose(link.purpose), public_url=runtime.settings.public_url, token=token
            )
            try:
                await mail.send(
                    smtp_url=runtime.settings.smtp_url,
                    sender=runtime.settings.mail_from,
                    to=email,
                    subject=message.subject,
                    text=message.text,
                )
            except MailNotSentError:
                link.attempts += 1
                link.due_at = clock.now() + timedelta(seconds=min(5 * 2**link.attempts, 600))
            else:
                await actions.mark_sent(session, link_id=link.id, token=token)


async def repeat_deletions(runtime: Runtime) -> None:
    """Privacy may have been away: the wish to be deleted is told until it has arrived."""
    async with runtime.db.transaction() as session:
        await actions.repeat_deletions(session)


async def sweep(runtime: Runtime) -> None:
    """Forget what has had its time."""
    async with runtime.db.transaction() as session:
        await actions.sweep(session)


JOBS = (
    Job(name="send_links", every=timedelta(seconds=2), run=send_links, bell=actions.MAIL_BELL),
    Job(name="repeat_deletions", every=timedelta(seconds=2), run=repeat_deletions),
    Job(name="sweep", every=timedelta(minutes=5), run=sweep),
)
