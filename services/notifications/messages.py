"""What notifications writes, in French: lines on the site, and mails from `templates/`."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notifications.models import Kind

_PARIS = ZoneInfo("Europe/Paris")
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip


NECESSARY = {
    "Sécurité du compte : confirmation d'adresse, mot de passe": "sans eux, le compte ne serait plus sûr",
    "Effacement et demandes de droits": "la loi nous oblige à vous répondre (RGPD, art. 12)",
    "Avertissements avant la suppression d'un compte inactif": "pour que rien ne soit effacé par surprise",
    "Nouvelle version de la notice sur vos données": "vous devez savoir ce qui change",
}
"""What is sent whatever somebody chose, by this service or another one, and why."""


class Line(NamedTuple):
    """A notice on the site: what happened, and the page that tells more."""

    title: str
    path: str


class Mail(NamedTuple):
    """A mail without its addressee."""

    subject: str
    text: str


def line_of(kind: Kind, *, slug: str | None, target_id: UUID) -> Line:
    """The inbox line of a notice; `slug` may be unknown for a moment."""
    community = f"la communauté « {named(slug)} »" if slug else "une communauté"
    page = f"/communautes/{slug}" if slug else "/communautes"
    match kind:
        case Kind.MEMBERSHIP_GRANTED:
            return Line(f"Vous êtes membre de {community}", page)
        case Kind.MEMBERSHIP_REFUSED:
            return Line(f"Votre demande pour rejoindre {community} n'a pas été acceptée", page)
        case Kind.MEMBERSHIP_REQUESTED:
            return Line(f"Quelqu'un demande à rejoindre {community}", "/animation")
        case Kind.CONSULTATION_PUBLISHED:
            return Line(f"Une consultation est ouverte dans {community}", _consultation(target_id))
        case Kind.NOTICE_PUBLISHED:
            return Line("La notice sur vos données personnelles a changé", "/donnees-personnelles")
        case Kind.RETENTION_WARNING:
            return Line(
                "Votre compte sera supprimé si vous ne rejoignez aucune communauté", "/mon-compte"
            )


def mail_of(
    kind: Kind,
    *,
    slug: str | None,
    target_id: UUID,
    public_url: str,
    closes_at: datetime | None,
    in_force_from: datetime | None,
    token: str | None,
    kept_until: date | None = None,
) -> Mail:
    """The mail about the same; `token` makes the link that ends the newsletter, if there is one."""
    line = line_of(kind, slug=slug, target_id=target_id)
    written = _templates.get_template(f"{kind}.txt").render(
        title=line.title,
        community=named(slug) if slug else None,
        link=public_url + line.path,
        public_url=public_url,
        closes_at=closes_at,
        in_force_from=in_force_from,
        kept_until=kept_until,
        unsubscribe=f"{public_url}/desabonnement?token={token}" if token else None,
    )
    subject, _, text = written.partition("\n")
    return Mail(subject, text.lstrip("\n"))


class Listed(NamedTuple):
    """One consultation in a mail that gathers several."""

    slug: str | None
    target_id: UUID
    closes_at: datetime | None


def digest_of(listed: Sequence[Listed], *, public_url: str, token: str | None) -> Mail:
    """One mail about several consultations, for who does not want one each."""
    written = _templates.get_template("consultations_gathered.txt").render(
        lines=[
            (
                line_of(Kind.CONSULTATION_PUBLISHED, slug=one.slug, target_id=one.target_id).title,
                one.closes_at,
                public_url + _consultation(one.target_id),
            )
            for one in listed
        ],
        community=None,
        public_url=public_url,
        unsubscribe=f"{public_url}/desabonnement?token={token}" if token else None,
    )
    subject, _, text = written.partition("\n")
    return Mail(subject, text.lstrip("\n"))


def unsubscribe_headers(*, public_url: str, token: str) -> dict[str, str]:
    """What lets a mail program offer one click to end the newsletter (RFC 8058)."""
    return {
        "List-Unsubscribe": f"<{public_url}/api/notifications/unsubscribe/{token}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def named(slug: str) -> str:
    """How a community is called where only its public name is known: words instead of hyphens."""
    return slug.replace("-", " ")


def _consultation(consultation_id: UUID) -> str:
    return f"/consultations/{consultation_id}"


def day_of(instant: datetime) -> date:
    """The calendar day in Paris."""
    return instant.astimezone(_PARIS).date()


def _day(when: date) -> str:
    day = day_of(when) if isinstance(when, datetime) else when
    return f"{'1er' if day.day == 1 else day.day} {_MONTHS[day.month - 1]} {day.year}"


def _moment(instant: datetime) -> str:
    local = instant.astimezone(_PARIS)
    return f"{_day(instant)} à {local.hour} h {local.minute:02}"


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters.update(day=_day, moment=_moment)
