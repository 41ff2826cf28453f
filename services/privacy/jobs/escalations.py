"""The DPO hears of steps that stay open."""

from datetime import timedelta

import structlog

from chassis import crash, mail
from chassis.mail import MailNotSentError
from chassis.service import Job, Runtime
from services.privacy.actions import escalations
from services.privacy.messages.escalations import steps_stay_open

log = structlog.get_logger()


async def escalate(runtime: Runtime) -> None:
    """Note which quarters of their time open steps have passed."""
    looked_at = escalations.AT_ONCE
    while looked_at == escalations.AT_ONCE:
        async with runtime.db.transaction() as session:
            looked_at, told = await escalations.escalate(session)
        crash.point("privacy.after_escalate")
        if told:
            log.error("erasure_steps_escalated", steps=told)


async def tell_dpo(runtime: Runtime) -> None:
    """Write to the DPO: few mails, each with all that was new.

    The content is fixed and committed before the first try. Who dies between the mail server's yes and
    its own commit sends the same mail once more, under the same Message-ID.
    """
    async with runtime.db.transaction() as session:
        await escalations.compose(session)
    crash.point("privacy.after_compose")
    settings = runtime.settings
    async with runtime.db.transaction() as session:
        found = await escalations.next_mail(session)
        if found is None:
            return
        message, overdue = found
        text = steps_stay_open(overdue, public_url=settings.public_url)
        try:
            await mail.send(
                smtp_url=settings.smtp_url,
                sender=settings.mail_from,
                to=settings.dpo_address,
                subject=text.subject,
                text=text.text,
                message_id=f"<escalation-{message.mail_id}@ccibusiness.example>",
            )
        except (MailNotSentError, ValueError) as error:  # not now, or no address at all
            log.error("escalation_not_mailed", error=type(error).__name__)
            escalations.postpone(message)
        else:
            crash.point("privacy.after_escalation_mail")
            escalations.sent(message)
    crash.point("privacy.after_escalation_told")


JOBS = (
    Job(name="escalate", every=timedelta(seconds=1), run=escalate),
    Job(
        name="tell_dpo",
        every=timedelta(seconds=2),
        run=tell_dpo,
        bell=escalations.ESCALATION_BELL,
    ),
)
