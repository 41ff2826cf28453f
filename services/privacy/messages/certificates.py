"""The certificate as a document for people: tagged PDF, in French, with the signed proof inside.

Everything in it is read from the signed statement, so that it cannot say more than was signed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typst
from joserfc import jws

from services.privacy.messages.words import SERVICES

ATTACHMENT = "certificat-effacement.jws"
"""Name of the signed statement, inside the PDF and beside it in the mail."""
DOCUMENT = "certificat-effacement.pdf"

_TEMPLATE = Path(__file__).parent.parent / "templates" / "certificate.typ"
_PARIS = ZoneInfo("Europe/Paris")
_MONTHS = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
_REASONS = {
    "self_service": "suppression du compte par la personne",
    "rights_request": "demande d'effacement",
    "retention": "fin de la durée de conservation",
    "canary": "contrôle de la plateforme par un compte fictif",
}
_OUTCOMES = {
    "erased": "Effacé",
    "nothing_held": "Rien n'était détenu",
    "kept_under_hold": "Effacé, sauf ce que la loi fait conserver",
    "waived": "Non prouvé, dispensé par le DPO",
}


_NO_GLYPH = re.compile("[^ -~\u00a0-\u017f\u2010-\u2022\u2026\u202f\u20ac]")
"""What the font, the same everywhere because it comes with the library, cannot show."""


def certificate_pdf(signed: str) -> bytes:
    """Render a signed certificate (PDF/UA-1). Raises `typst.TypstError` for what cannot be rendered.

    It takes some 10 ms of a processor: not on the event loop.
    """
    statement = json.loads(jws.extract_compact(signed.encode()).payload)
    return bytes(
        typst.compile(
            _TEMPLATE,
            root=_TEMPLATE.parent,
            format="pdf",
            pdf_standards="ua-1",
            ignore_system_fonts=True,
            timestamp=int(datetime.fromisoformat(statement["completed_at"]).timestamp()),
            sys_inputs={
                "data": json.dumps(_shown(_pages(statement))),
                "jws": signed,
                "name": ATTACHMENT,
            },
        )
    )


def _shown(value: Any) -> Any:
    """The same with a question mark for each character that has no glyph; the proof inside has it."""
    match value:
        case str():
            return _NO_GLYPH.sub("?", value)
        case dict():
            return {name: _shown(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_shown(inner) for inner in value]
    return value


def _pages(statement: Mapping[str, Any]) -> dict[str, Any]:
    waived = [part for part in statement["participants"] if part["outcome"] == "waived"]
    return {
        "title": "Certificat d'effacement",
        "issuer": statement["issuer"],
        "erasure_id": statement["erasure_id"],
        "summary": _summary(waived, statement["kept"]),
        "marks": [
            {"name": name, "value": value}
            for name, value in (
                ("Numéro de l'effacement", statement["erasure_id"]),
                ("Identifiant de la personne", statement["subject_id"]),
                ("Origine", _REASONS.get(statement["reason"], statement["reason"])),
                ("Demandé le", _instant(statement["requested_at"])),
                ("Terminé le", _instant(statement["completed_at"])),
                ("Place dans le registre", str(statement["position"])),
                ("Empreinte de l'entrée", _breakable(statement["entry_hash"])),
            )
        ],
        "sections": [
            _held(statement),
            _proven(statement),
            *([_waived(waived)] if waived else []),
            _kept(statement),
            _told(statement),
            _out_of_scope(statement),
            _verify(),
        ],
    }


def _summary(waived: Sequence[Any], kept: Sequence[Any]) -> str:
    proven = (
        "Chaque service de la plateforme et chaque système partenaire a confirmé l'effacement."
        if not waived
        else "L'effacement est confirmé partout, sauf là où le délégué à la protection des données "
        "(DPO) a dispensé un système de le prouver : la section « Ce qui n'est pas prouvé » dit où "
        "et pourquoi."
    )
    rest = (
        " Ce que la loi fait conserver reste jusqu'à une date ; la section « Ce qui reste » dit "
        "pourquoi."
        if kept
        else ""
    )
    return f"Les données de la personne désignée ci-dessous ont été effacées. {proven}{rest}"


def _held(statement: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            _name(line["participant"]),
            " ; ".join(line["purposes"])
            + (f" ({', '.join(line['data'])})" if line["data"] else ""),
            str(line["deleted"]),
            str(line["detached"]),
            str(line["kept"]),
        ]
        for line in statement.get("held", ())
    ]
    return _section(
        "Ce qui était détenu",
        "Pour chaque finalité, le nombre d'enregistrements effacés, rendus anonymes (l'enregistrement "
        "reste sans rien qui désigne la personne) ou conservés."
        if rows
        else "Aucun service ne détenait de données sur la personne.",
        head=["Service", "Finalité et données", "Effacés", "Anonymes", "Conservés"],
        widths=[24, 40, 12, 13, 14],
        rows=rows,
    )


def _proven(statement: Mapping[str, Any]) -> dict[str, Any]:
    return _section(
        "Où et quand",
        "Les services de la plateforme signent leur preuve, que leur base de données fait respecter. "
        "Les systèmes partenaires donnent leur parole, et l'identité de qui la donne est vérifiée. Les "
        "heures sont celles de Paris.",
        head=["Système", "Nature", "Résultat", "Confirmé le"],
        widths=[26, 22, 30, 26],
        rows=[
            [
                _name(part["name"]),
                "Service, preuve signée" if part["kind"] == "service" else "Partenaire, sur parole",
                _OUTCOMES[part["outcome"]],
                _instant(part["acknowledged_at"]) if part["acknowledged_at"] else "Jamais",
            ]
            for part in statement["participants"]
        ],
    )


def _waived(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return _section(
        "Ce qui n'est pas prouvé",
        "Le DPO a mis fin à ces étapes sans que l'effacement soit prouvé. Vous pouvez le contester "
        "auprès de la CNIL (www.cnil.fr).",
        head=["Système", "Motif", "Pièce", "Décidé le"],
        widths=[20, 46, 16, 22],
        rows=[
            [
                _name(part["name"]),
                part["waiver"]["meaning"],
                part["waiver"]["reference"] or "Aucune",
                _instant(part["waiver"]["waived_at"]),
            ]
            for part in parts
        ],
    )


def _kept(statement: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            _name(line["participant"]),
            str(line["rows"]),
            line["source"] or line["rule"],
            _instant(line["until"]) if line["until"] else "La fin de l'obligation",
        ]
        for line in statement["kept"]
    ]
    return _section(
        "Ce qui reste",
        f"{statement['tombstone']}."
        + (" Restent en outre, bloqués et pour ce seul motif :" if rows else ""),
        head=["Service", "Nombre", "Motif et texte", "Jusqu'au"],
        widths=[24, 12, 44, 24],
        rows=rows,
    )


def _told(statement: Mapping[str, Any]) -> dict[str, Any]:
    partners = [part for part in statement["participants"] if part["kind"] == "partner"]
    names = ", ".join(part["name"] for part in partners)
    return _section(
        "Qui a été prévenu",
        f"Ces destinataires ont reçu l'ordre d'effacer (RGPD, art. 19) : {names}."
        if partners
        else "Aucun système extérieur à la plateforme n'était destinataire au jour de la demande.",
    )


def _out_of_scope(statement: Mapping[str, Any]) -> dict[str, Any]:
    return _section(
        "Ce que ce certificat ne couvre pas",
        "Des traces techniques disparaissent plus tard, d'elles-mêmes :",
        head=["Trace", "Jusqu'au"],
        widths=[70, 30],
        rows=[
            [scope["what"], _instant(scope["until"]) if scope["until"] else "Sans date fixe"]
            for scope in statement["out_of_scope"]
        ],
    )


def _verify() -> dict[str, Any]:
    return _section(
        "Comment vérifier",
        f"La preuve signée est jointe à ce fichier ({ATTACHMENT}). Sur un ordinateur, même sans "
        "réseau, la commande « ccib verify » suivie du nom de ce fichier contrôle la signature avec "
        "les clés publiques de la plateforme, obtenues par une autre voie, et affiche ce qui est "
        "signé. Seule la preuve jointe fait foi : ces pages en sont la lecture.",
    )


def _section(
    title: str,
    text: str,
    *,
    head: Sequence[str] = (),
    widths: Sequence[int] = (),
    rows: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    return {"title": title, "text": text, "head": head, "widths": widths, "rows": rows}


def _name(participant: str) -> str:
    return SERVICES.get(participant, participant)


def _instant(text: str) -> str:
    at = datetime.fromisoformat(text).astimezone(_PARIS)
    day = "1er" if at.day == 1 else str(at.day)
    return f"{day} {_MONTHS[at.month - 1]} {at.year} à {at:%H:%M}"


def _breakable(digest: str) -> str:
    return " ".join(digest[place : place + 16] for place in range(0, len(digest), 16))
