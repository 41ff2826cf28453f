"""What the platform itself declares about the data that a form asks for: the catalogue's own words."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from web.gateway import ApiError
from web.runtime import runtime_of

READERS = {
    "platform": "la plateforme",
    "animator": "les animateurs de vos communautés",
    "cci": "la CCI de vos communautés",
    "members": "les membres de vos communautés",
    "buyers": "les donneurs d'ordre à qui vous répondez",
    "public": "tout le monde",
    "partners": "les systèmes partenaires",
}
KEPT = {
    "account": "tant que votre compte existe",
    "24h": "24 heures",
    "7d": "7 jours",
    "180d": "6 mois",
    "365d": "1 an",
}


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Why data are asked for, who reads them, how long they are kept."""

    purpose: str
    readers: str
    kept: str
    mandatory: Sequence[str]
    optional: Sequence[str]


async def declared(request: Request, service: str, table: str) -> Declared | None:
    """What stands in the notice in force about one table; None while the notice cannot be had."""
    try:
        notice = await runtime_of(request).public("privacy/notice")
    except ApiError:
        return None
    for one in notice["processing"]:
        if (one["service"], one["table"]) == (service, table):
            return Declared(
                purpose=one["purpose"],
                readers=readers(one["recipients"]),
                kept=kept_for(one["retention"]),
                mandatory=[data["label"] for data in one["data"] if data["mandatory"]],
                optional=[data["label"] for data in one["data"] if not data["mandatory"]],
            )
    return None


def kept_for(rule: str) -> str:
    """A rule of retention in French; what is French already stays as it is."""
    return KEPT.get(rule, rule)


def readers(names: Sequence[str]) -> str:
    """Recipients in French, as the end of a sentence."""
    if names == ["platform"]:
        return "la plateforme, et personne d'autre"
    *before, last = (READERS.get(name, name) for name in names)
    return f"{', '.join(before)} et {last}" if before else last
