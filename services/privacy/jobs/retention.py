"""Retention: one run a day and rule, begun as soon as the directory has told of the day before."""

from datetime import date, timedelta
from uuid import UUID

import structlog

from chassis import clock, crash, mail
from chassis.mail import MailNotSentError
from chassis.service import Job, Runtime
from services.privacy.actions import retention as actions
from services.privacy.actions import retention_runs
from services.privacy.messages.retention import run_held
from services.privacy.models import RetentionRun
from services.privacy.reference.retention import Rule, rules

log = structlog.get_logger()


async def retain(runtime: Runtime) -> None:
    """Begin the runs whose day has come, and carry out what is begun, batch by batch."""
    for rule in rules().values():
        if not rule.active:
            continue
        async with runtime.db.transaction() as session:
            run = await retention_runs.begin(session, rule=rule)
        crash.point("privacy.after_retention_begin")
        if run is not None:
            await _carry_out(runtime, run.id, rule)
    await _tell_dpo(runtime)


async def _carry_out(runtime: Runtime, run_id: UUID, rule: Rule) -> None:
    """Each batch is a transaction: whoever goes on after a crash finds in the row what is left."""
    after: tuple[date, UUID] | None = None
    warning = True
    while not runtime.stop.is_set():
        async with runtime.db.transaction() as session:
            run = await session.get_one(RetentionRun, run_id, with_for_update=True)
            if warning:
                warning = bool(await actions.warn(session, run=run, rule=rule))
            else:
                after = await actions.erase(session, run=run, rule=rule, after=after)
                if after is None:
                    retention_runs.finish(run)
        crash.point("privacy.after_retention_batch")
        if not warning and run.finished_at is not None:
            log.info(
                "retention_run_finished",
                rule=run.rule,
                warned=run.warned,
                erased=run.erased,
                spared=run.spared,
            )
            return


async def _tell_dpo(runtime: Runtime) -> None:
    """Write to the DPO once about each run that is held; the mail server may be away for a while."""
    settings = runtime.settings
    async with runtime.db.transaction() as session:
        for run in await retention_runs.untold(session):
            text = run_held(run, title=rules()[run.rule].title, public_url=settings.public_url)
            try:
                await mail.send(
                    smtp_url=settings.smtp_url,
                    sender=settings.mail_from,
                    to=settings.dpo_address,
                    subject=text.subject,
                    text=text.text,
                    message_id=f"<retention-{run.id}@ccibusiness.example>",
                )
            except (MailNotSentError, ValueError) as error:  # not now, or no address at all
                log.error("retention_run_not_mailed", error=type(error).__name__)
                return
            crash.point("privacy.after_retention_mail")
            run.told_at = clock.now()
    crash.point("privacy.after_retention_told")


JOBS = (Job(name="retention", every=timedelta(minutes=5), run=retain, bell=actions.RETENTION_BELL),)
