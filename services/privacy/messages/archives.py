"""A copy of one person's data, for reading (HTML, PDF), for spreadsheets (CSV), for machines (JSON).

Values come from people and are hostile until proven otherwise: each document has its own quoting.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import typst
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chassis.access import HeldColumn, Section
from services.privacy.messages import words
from services.privacy.schemas.exports import ServiceData

PDF_ROWS = 200
"""Rows of one table in the PDF, which says how many there are; the other documents have them all."""
_FOLDER = Path(__file__).parents[1] / "templates" / "exports"
_PAGES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_PLAIN = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=False,  # noqa: S701 - plain text
    undefined=StrictUndefined,
    trim_blocks=True,
)
_FORMULA = tuple("=+-@＝＋－＠")
Key = tuple[str, str]
"""A service, and the storage key of one of its files."""


@dataclass(kw_only=True)
class Copy:
    """Everything that goes into one archive."""

    person_id: UUID
    generated_at: datetime
    services: Sequence[ServiceData]
    files: dict[Key, str] = field(default_factory=dict)
    """Names in the archive."""
    absent: dict[Key, str] = field(default_factory=dict)
    """Files that are not in it, each with the reason in French."""

    @property
    def silent(self) -> list[str]:
        """Services that told nothing, by their French names."""
        return [named(one.service) for one in self.services if not one.answered]


def named(service: str) -> str:
    """The French name of a service."""
    return words.SERVICES.get(service, service)


def stored_files(services: Sequence[ServiceData]) -> Iterator[Key]:
    """Every file that the data name."""
    seen = set[Key]()
    for one in services:
        for section in one.sections:
            names = [column.name for column in section.columns if column.kind == "file"]
            for row in section.rows:
                for key in (row[name] for name in names):
                    if isinstance(key, str) and key and (one.service, key) not in seen:
                        seen.add((one.service, key))
                        yield one.service, key


def file_name(key: Key, *, taken: Mapping[Key, str]) -> str:
    """A name inside the archive that leads nowhere else, whatever the key says."""
    service, stored = key
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", stored).strip("._")[-100:] or "fichier"
    return f"fichiers/{service}/{len(taken) + 1:04d}_{safe}"


def documents(copy: Copy) -> Iterator[tuple[str, bytes]]:
    """The documents of the archive, each with its name."""
    yield "LISEZMOI.txt", _PLAIN.get_template("lisezmoi.txt").render(copy=copy).encode()
    page = _PAGES.get_template("donnees.html").render(copy=copy, services=list(_told(copy)))
    yield "donnees.html", page.encode()
    yield "donnees.pdf", _pdf(copy)
    yield "donnees.json", _json(copy)
    for one in copy.services:
        for section in one.sections:
            if section.rows:
                name = f"{one.service}_{section.table}_{section.subject}"
                yield f"tableaux/{name}.csv", _csv(section).encode("utf-8-sig")


def _told(copy: Copy, *, rows: int | None = None) -> Iterator[dict[str, Any]]:
    """Services, sections and values as texts for people."""
    for one in copy.services:
        yield {
            "name": named(one.service),
            "answered": one.answered,
            "empty": [section.purpose for section in one.sections if not section.rows],
            "sections": [
                {
                    "title": printable(section.purpose),
                    "table": section.table,
                    "basis": words.BASES.get(section.basis, section.basis),
                    "recipients": ", ".join(
                        words.RECIPIENTS.get(name, name) for name in section.recipients
                    ),
                    "retention": words.retention(section.retention),
                    "fate": words.FATES.get(section.fate, section.fate),
                    "hold": section.hold.source if section.hold else "",
                    "total": section.total,
                    "labels": [printable(column.label) for column in section.columns],
                    "rows": [
                        [
                            said(row[column.name], column, copy=copy, service=one.service)
                            for column in section.columns
                        ]
                        for row in section.rows[:rows]
                    ],
                }
                for section in one.sections
                if section.rows
            ],
        }


def said(value: Any, column: HeldColumn, *, copy: Copy, service: str) -> str:
    """A value as people read it."""
    match column.kind, value:
        case "secret", _:
            return "détenu, jamais communiqué" if value else "—"
        case _, None | "" | []:
            return "—"
        case _, bool():
            return "oui" if value else "non"
        case "instant", str():
            try:
                return f"{datetime.fromisoformat(value):%d/%m/%Y à %H:%M} UTC"
            except ValueError:
                return printable(value)
        case "file", str():
            key = (service, value)
            return copy.files.get(key) or copy.absent.get(key) or printable(value)
        case _, list():
            return printable(", ".join(_text(one) for one in value))
        case _, _:
            return printable(_text(value))


def printable(text: str) -> str:
    """Without control characters, which no document format takes; line breaks and tabs stay."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Cn") else "\ufffd"
        for char in text
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _csv(section: Section) -> str:
    labels = [column.label for column in section.columns]
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerow(
        _cell(label if labels.count(label) == 1 else f"{label} ({column.name})")
        for label, column in zip(labels, section.columns, strict=True)
    )
    writer.writerows(
        [_cell(row[column.name]) for column in section.columns] for row in section.rows
    )
    return target.getvalue()


def _cell(value: Any) -> str:
    """A text that a spreadsheet takes for a formula begins with an apostrophe; numbers do not."""
    match value:
        case None:
            return ""
        case bool():
            return "oui" if value else "non"
        case int() | float():
            return str(value)
    text = printable(_text(value))
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _json(copy: Copy) -> bytes:
    content = {
        "format": "ccib-donnees/1",
        "personne": str(copy.person_id),
        "genere_le": copy.generated_at.isoformat(),
        "complet": not copy.silent and not copy.absent,
        "services": [one.model_dump(mode="json") for one in copy.services],
        "fichiers": [
            {"service": key[0], "cle": key[1], "chemin": name} for key, name in copy.files.items()
        ],
        "fichiers_absents": [
            {"service": key[0], "cle": key[1], "motif": why} for key, why in copy.absent.items()
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _pdf(copy: Copy) -> bytes:
    """Tagged, and PDF/UA-1 unless somebody wrote signs that the fonts at hand do not have."""
    told = {
        "generated": f"{copy.generated_at:%d/%m/%Y à %H:%M} UTC",
        "person": str(copy.person_id),
        "silent": copy.silent,
        "limit": PDF_ROWS,
        "services": list(_told(copy, rows=PDF_ROWS)),
    }
    source = (_FOLDER / "donnees.typ").read_bytes()
    # A word longer than a line may break anywhere, rather than run off the page.
    inputs = {"data": re.sub(r'[^\s"\\]{40}', "\\g<0>\u200b", json.dumps(told, ensure_ascii=False))}
    try:
        return _typeset(source, inputs, universal=True)
    except typst.TypstError:
        return _typeset(source, inputs, universal=False)


def _typeset(source: bytes, inputs: dict[str, str], *, universal: bool) -> bytes:
    return typst.compile(
        source,
        format="pdf",
        sys_inputs=inputs,
        pdf_standards="ua-1" if universal else None,
        ignore_system_fonts=True,
    )
