"""Mails about rights requests, from `templates/rights/`: the first line is the subject."""

from datetime import date
from pathlib import Path
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from contracts.privacy import Right
from services.privacy.messages.erasures import Message
from services.privacy.models.rights import CONTACT_KEPT, MailTemplate

RIGHTS: dict[Right, str] = {
    Right.ACCESS: "accéder à mes données",
    Right.RECTIFICATION: "faire rectifier mes données",
    Right.ERASURE: "faire effacer mes données",
    Right.OBJECTION: "m'opposer à un traitement de mes données",
    Right.RESTRICTION: "faire limiter un traitement de mes données",
    Right.PORTABILITY: "emporter mes données",
}
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip


def rights_mail(
    template: MailTemplate,
    *,
    request_id: UUID,
    kind: Right,
    received_on: date,
    due_on: date,
    words: str | None,
    token: str | None,
    public_url: str,
    court: str,
    dpo_address: str,
) -> Message:
    """What to write; `words` are the DPO's own, `token` is in the link and nowhere else."""
    written = _templates.get_template(f"{template}.txt").render(
        request_id=request_id,
        kind=kind.value,
        right=f"« {RIGHTS[kind]} »",
        received_on=received_on,
        due_on=due_on,
        words=words,
        link=f"{public_url}/droits/confirmation?token={token}",
        public_url=public_url,
        court=court,
        dpo_address=dpo_address,
        contact_days=CONTACT_KEPT.days,
    )
    subject, _, text = written.partition("\n")
    return Message(subject, text.lstrip("\n"))


def _day(day: date) -> str:
    return f"{'1er' if day.day == 1 else day.day} {_MONTHS[day.month - 1]} {day.year}"


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "templates" / "rights"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters["day"] = _day
