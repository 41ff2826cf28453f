"""What is held about a person, service by service, as the services themselves say at this moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from web.declared import kept_for, readers
from web.gateway import Api, ApiError
from web.words import participant, place


@dataclass(kw_only=True)
class Line:
    """Everything that serves one purpose and meets one fate."""

    purpose: str
    fate: str
    readers: str
    kept: str
    basis: str
    under: str
    """Why it stays, if it does."""
    data: list[str] = field(default_factory=list)
    rows: int = 0
    sections: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """One service and what it holds."""

    name: str
    slug: str
    answered: bool
    lines: Sequence[Line]

    @property
    def rows(self) -> int:
        return sum(line.rows for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What everybody holds. Not `complete`: somebody did not answer."""

    holders: Sequence[Holder]
    complete: bool

    def count(self, *fates: str) -> int:
        return sum(line.rows for one in self.holders for line in one.lines if line.fate in fates)


@dataclass(frozen=True, kw_only=True)
class Stays:
    """Something that an erasure leaves, why, and until when."""

    purpose: str
    under: str
    until: str
    rows: int
    """Now; it may also be made by the erasure itself."""


async def held_about(api: Api) -> Held | None:
    """Of the caller; None while nobody can be asked."""
    try:
        answer = await api.get("privacy/me/data")
    except ApiError as refused:
        if refused.status < 500:
            raise
        return None
    services = sorted(answer["services"], key=lambda one: place(one["service"]))
    return Held(
        complete=answer["complete"],
        holders=[
            Holder(
                name=participant(one["service"]),
                slug=one["service"],
                answered=one["answered"],
                lines=_lines(one["sections"]),
            )
            for one in services
        ],
    )


def _lines(sections: Iterable[Mapping[str, Any]]) -> list[Line]:
    """By purpose and fate; what holds nothing is left out."""
    found: dict[tuple[str, str], Line] = {}
    for section in sections:
        if not section["total"]:
            continue
        hold = section["hold"]
        line = found.setdefault(
            (section["purpose"], section["fate"]),
            Line(
                purpose=section["purpose"],
                fate=section["fate"],
                readers=readers(section["recipients"]),
                kept=kept_for(section["retention"]),
                basis=section["basis"],
                under=hold["source"] if hold else "",
            ),
        )
        line.rows += section["total"]
        line.data += [
            column["label"] for column in section["columns"] if column["label"] not in line.data
        ]
        line.sections.append(section)
    return list(found.values())


def stays(processing: Iterable[Mapping[str, Any]], held: Held | None) -> list[Stays]:
    """What the catalogue keeps after an erasure, by purpose."""
    rows = {
        line.purpose: line.rows
        for holder in (held.holders if held else ())
        for line in holder.lines
        if line.fate == "keep"
    }
    found = {
        one["purpose"]: Stays(
            purpose=one["purpose"],
            under=one["kept_under"] or "",
            until=kept_for(one["retention"]),
            rows=rows.get(one["purpose"], 0),
        )
        for one in processing
        if one["fate"] == "keep"
    }
    return list(found.values())
