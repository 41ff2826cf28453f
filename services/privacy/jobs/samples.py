"""What operators watch: erasures that are not done, by kind of participant and without anybody's id."""

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock
from services.privacy.schemas.participants import ParticipantKind

_open = Gauge("ccib_erasures_open", "Erasures without a certificate")
_oldest = Gauge("ccib_erasures_oldest_age_seconds", "Since the oldest open erasure was asked for")
_overdue = Gauge("ccib_erasures_overdue", "Open erasures past their legal deadline")
_steps = Gauge("ccib_erasure_steps_open", "Parts of erasures that nobody has proven", ["kind"])
_steps_oldest = Gauge(
    "ccib_erasure_steps_oldest_age_seconds", "Since the oldest open step was broadcast", ["kind"]
)
_steps_overdue = Gauge(
    "ccib_erasure_steps_overdue", "Open steps past the deadline of their participant", ["kind"]
)
_escalated = Gauge("ccib_erasure_steps_escalated", "Open steps of which the DPO was told", ["kind"])

_ERASURES = text(
    """
    SELECT count(*) AS open, coalesce(extract(epoch FROM :now - min(requested_at)), 0) AS age,
        count(*) FILTER (WHERE due_by < :now) AS overdue
    FROM erasure WHERE completed_at IS NULL
    """
)
_STEPS = text(
    """
    SELECT kind, count(*) AS open, count(*) FILTER (WHERE due_by < :now) AS overdue,
        count(*) FILTER (WHERE escalated > 0) AS escalated,
        coalesce(extract(epoch FROM :now - min(sent_at)), 0) AS age
    FROM step JOIN participant ON name = participant JOIN broadcast USING (position)
    WHERE outcome IS NULL GROUP BY kind
    """
)


async def sample(session: AsyncSession) -> None:
    """Count what is open."""
    now = {"now": clock.now()}
    erasures = (await session.execute(_ERASURES, now)).one()
    _open.set(erasures.open)
    _oldest.set(erasures.age)
    _overdue.set(erasures.overdue)
    found = {row.kind: row for row in await session.execute(_STEPS, now)}
    for kind in ParticipantKind:
        row = found.get(kind)
        _steps.labels(kind.value).set(row.open if row else 0)
        _steps_oldest.labels(kind.value).set(row.age if row else 0)
        _steps_overdue.labels(kind.value).set(row.overdue if row else 0)
        _escalated.labels(kind.value).set(row.escalated if row else 0)


SAMPLES = (sample,)
