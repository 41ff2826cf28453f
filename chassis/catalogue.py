"""The personal-data catalogue: what each column holds about people, and what becomes of it.

A declaration stands beside its column in `models.py`, as `sa_column_kwargs=` of a SQLModel field or
as keyword arguments of a Core column. From this one source come the set-based erasure, the evidence,
the CHECK constraints, the comments that the migrations write into PostgreSQL (so that the running
database can be compared at any time), the register of processing and the tables of the notice.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, MetaData, Table

KEY = "personal_data"
"""Where a column's `info` carries its declaration."""

TOMBSTONE = "data_subject"
"""The permanent row per person that every personal row references."""

DETACHED = "_detached"
"""How the names of the CHECKs end that keep personal columns empty once nobody is named."""


class Category(StrEnum):
    """Kinds of personal data (N2.2)."""

    IDENTITY = "identity"
    CONTACT = "contact"
    PROFESSIONAL = "professional"
    CONNECTION = "connection"
    CONTENT = "content"
    PREFERENCE = "preference"
    TECHNICAL = "technical"


class Fate(StrEnum):
    """What erasure does to the rows that a subject column names."""

    DELETE = "delete"
    """The row goes."""
    DETACH = "detach"
    """The business record stays; the subject column and every personal column become null."""
    KEEP = "keep"
    """The row stays under a named hold, until a date."""
    SHARED = "shared"
    """Several people own the row; a rule of the service decides, the foreign key enforces it."""


class Basis(StrEnum):
    """Legal bases (GDPR art. 6(1))."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    LEGITIMATE_INTEREST = "legitimate_interest"


class Recipient(StrEnum):
    """Who may read it (N8.1)."""

    PLATFORM = "platform"
    ANIMATOR = "animator"
    CCI = "cci"
    MEMBERS = "members"
    BUYERS = "buyers"
    PUBLIC = "public"
    PARTNERS = "partners"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why rows may stay: a rule's name, its legal source, and how many days after the erasure."""

    rule: str
    source: str
    days: int | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Declares the column that names whose row it is; `purpose` is in French, for the notice."""

    fate: Fate
    purpose: str
    basis: Basis = Basis.CONSENT
    recipients: tuple[Recipient, ...] = (Recipient.PLATFORM,)
    retention: str = "account"
    rule: str | None = None
    hold: Hold | None = None


@dataclass(frozen=True, kw_only=True)
class Personal:
    """Declares a column that says something about the person named by the column `of`."""

    category: Category
    label: str
    mandatory: bool = False
    of: str | None = None
    file: bool = False
    """The column is the key of a stored file, which leaves with the row."""
    secret: bool = False
    """The person is told that it is held, never what it is: whoever has it could pass for them."""


@dataclass(frozen=True, kw_only=True)
class NotPersonal:
    """Declares a column that says nothing about a natural person, and why."""

    why: str


Declaration = Subject | Personal | NotPersonal


def subject(
    fate: Fate,
    purpose: str,
    *,
    basis: Basis = Basis.CONSENT,
    recipients: tuple[Recipient, ...] = (Recipient.PLATFORM,),
    retention: str = "account",
    rule: str | None = None,
    hold: Hold | None = None,
) -> dict[str, Any]:
    """The column naming the data subject. It must reference `data_subject.live_id`, or `.id` to keep."""
    declared = Subject(
        fate=fate,
        purpose=purpose,
        basis=basis,
        recipients=recipients,
        retention=retention,
        rule=rule,
        hold=hold,
    )
    detail = f" rule={rule}" if rule else f" hold={hold.rule}" if hold else ""
    return {"info": {KEY: declared}, "comment": f"data subject: fate={fate}{detail}"}


def personal(
    category: Category,
    label: str,
    *,
    mandatory: bool = False,
    of: str | None = None,
    file: bool = False,
    secret: bool = False,
) -> dict[str, Any]:
    """A personal column; `label` is what people call it, in French (N2.2).

    A `secret` is shown to nobody, its owner included: hashes of passwords, sealed addresses.
    """
    declared = Personal(
        category=category, label=label, mandatory=mandatory, of=of, file=file, secret=secret
    )
    detail = (f" of={of}" if of else "") + (" file" if file else "")
    return {"info": {KEY: declared}, "comment": f"personal: {category}{detail}"}


def not_personal(why: str) -> dict[str, Any]:
    """A column that says nothing about a natural person."""
    return {"info": {KEY: NotPersonal(why=why)}, "comment": f"not personal: {why}"}


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """A column, or a whole table, that this release declares no more and a revision will drop.

    Until then it may be there or not, and must hold nothing: null in every row, or no row at all.
    """

    table: str
    column: str | None = None
    revision: str
    """The one that drops it; its phase is contract."""

    def __str__(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table


class CatalogueError(Exception):
    """A declaration is missing or contradicts its table; the message lists every one."""


@dataclass(frozen=True, kw_only=True)
class SubjectColumn:
    """One way in which a table names a person, with the columns that fall with it."""

    table: Table
    column: Column[Any]
    declared: Subject
    personal: tuple[Column[Any], ...]


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All declarations of one service, checked; build it with `seal`."""

    service: str
    metadata: MetaData
    subjects: tuple[SubjectColumn, ...] = field(default=())
    """In the order in which erasure must act: children before parents."""
    leaving: tuple[Leaving, ...] = ()
    """What is declared no more, and not dropped yet."""

    def tables(self) -> tuple[str, ...]:
        """The tables that name people; evidence accounts for each of them."""
        return tuple(sorted({entry.table.name for entry in self.subjects}))

    def columns(self) -> Iterator[tuple[Table, Column[Any], Declaration]]:
        """Every column with its declaration."""
        for table in self.metadata.tables.values():
            for column in table.columns:
                yield table, column, column.info[KEY]

    def describe(self) -> dict[str, Any]:
        """The declarations as canonical data: the manifest without its schema hash."""
        tables: dict[str, Any] = {}
        for table, column, declared in self.columns():
            entry = tables.setdefault(table.name, {"columns": {}, "subjects": {}})
            match declared:
                case Subject():
                    entry["subjects"][column.name] = _subject_data(declared)
                case Personal():
                    entry["columns"][column.name] = {
                        "kind": "personal",
                        "category": declared.category.value,
                        "label": declared.label,
                        "mandatory": declared.mandatory,
                        "of": declared.of or _only_subject(table),
                        **({"file": True} if declared.file else {}),
                        **({"secret": True} if declared.secret else {}),
                    }
                case NotPersonal():
                    entry["columns"][column.name] = {"kind": "not_personal", "why": declared.why}
        return {"service": self.service, "tables": tables}


def _subject_data(declared: Subject) -> Mapping[str, Any]:
    data: dict[str, Any] = {
        "fate": declared.fate.value,
        "purpose": declared.purpose,
        "basis": declared.basis.value,
        "recipients": [recipient.value for recipient in declared.recipients],
        "retention": declared.retention,
    }
    if declared.rule:
        data["rule"] = declared.rule
    if declared.hold:
        hold = declared.hold
        data["hold"] = {"rule": hold.rule, "source": hold.source, "days": hold.days}
    return data


def _subject_columns(table: Table) -> list[Column[Any]]:
    return [c for c in table.columns if isinstance(c.info.get(KEY), Subject)]


def _only_subject(table: Table) -> str | None:
    found = _subject_columns(table)
    return found[0].name if len(found) == 1 else None


def seal(*, service: str, metadata: MetaData, leaving: Iterable[Leaving] = ()) -> Catalogue:
    """Check every declaration and add the CHECK constraints that enforce detaching.

    Call it once, at the end of a service's models. Raises `CatalogueError` listing every column that
    is undeclared or declared against its table, or declared and leaving at once.
    """
    going = tuple(leaving)
    wrong: list[str] = [
        f"{one}: declared, and leaving" for one in going if _is_declared(one, metadata)
    ]
    entries: list[SubjectColumn] = []
    for table in reversed(metadata.sorted_tables):
        for column in table.columns:
            if KEY not in column.info:
                wrong.append(f"{table.name}.{column.name}: not declared")
        subjects = _subject_columns(table)
        falls_with: dict[str, list[Column[Any]]] = {column.name: [] for column in subjects}
        for column in table.columns:
            declared = column.info.get(KEY)
            if not isinstance(declared, Personal):
                continue
            owner = declared.of or _only_subject(table)
            if owner not in falls_with:
                wrong.append(f"{table.name}.{column.name}: personal, but of no subject column")
                continue
            falls_with[owner].append(column)
        for column in subjects:
            entry = SubjectColumn(
                table=table,
                column=column,
                declared=column.info[KEY],
                personal=tuple(falls_with[column.name]),
            )
            wrong.extend(_contradictions(entry))
            entries.append(entry)
            if entry.declared.fate is Fate.DETACH and entry.personal:
                _add_detached_check(entry)
    if wrong:
        raise CatalogueError("; ".join(wrong))
    return Catalogue(service=service, metadata=metadata, subjects=tuple(entries), leaving=going)


def _is_declared(one: Leaving, metadata: MetaData) -> bool:
    table = metadata.tables.get(one.table)
    return table is not None and (one.column is None or one.column in table.columns)


def _contradictions(entry: SubjectColumn) -> Iterator[str]:
    name = f"{entry.table.name}.{entry.column.name}"
    target = f"{TOMBSTONE}.{'id' if entry.declared.fate is Fate.KEEP else 'live_id'}"
    if target not in {key.target_fullname for key in entry.column.foreign_keys}:
        yield f"{name}: fate {entry.declared.fate} needs a foreign key to {target}"
    if not _indexed(entry):
        yield f"{name}: a subject column needs an index of its own"
    if (entry.declared.fate is Fate.KEEP) != (entry.declared.hold is not None):
        yield f"{name}: a hold belongs to the fate keep, and only there"
    if (entry.declared.fate is Fate.SHARED) != (entry.declared.rule is not None):
        yield f"{name}: a rule belongs to the fate shared, and only there"
    if entry.declared.fate is Fate.DETACH:
        for column in (entry.column, *entry.personal):
            if not column.nullable:
                yield f"{entry.table.name}.{column.name}: must be nullable to be detached"


def _indexed(entry: SubjectColumn) -> bool:
    whole = [i for i in entry.table.indexes if i.dialect_options["postgresql"]["where"] is None]
    leading = [next(iter(index.columns), None) for index in whole]
    primary = next(iter(entry.table.primary_key.columns), None)
    return entry.column is primary or entry.column in leading or bool(entry.column.unique)


def _add_detached_check(entry: SubjectColumn) -> None:
    gone = " AND ".join(f"{column.name} IS NULL" for column in entry.personal)
    entry.table.append_constraint(
        CheckConstraint(
            f"{entry.column.name} IS NOT NULL OR ({gone})", name=f"{entry.column.name}{DETACHED}"
        )
    )
