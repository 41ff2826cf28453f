"""`ccib verify`: a certificate of erasure, offline."""

import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pypdf import PdfReader
from rich.table import Table

from chassis.evidence import ALGORITHM
from cli.console import REFUSED, UNREADABLE, AsJson, err, out, stop, tell

ATTACHMENT = "certificat-effacement.jws"
"""Name of the signed statement inside a PDF."""


def verify(
    certificate: Annotated[
        Path, typer.Argument(help="The certificate as downloaded (PDF or JSON), or its JWS alone.")
    ],
    keys: Annotated[
        Path,
        typer.Option(
            help="The key set (JWKS) of the platform, obtained elsewhere than from the certificate."
        ),
    ] = Path(".local/trust/certificates.jwks.json"),
    as_json: AsJson = False,
) -> None:
    """Verify a certificate of erasure, offline.

    Of a PDF the signed statement inside it is verified, and shown: the pages are a reading of it, and
    prove nothing by themselves.

    Exit code 0: signed by a key of the set, unaltered. 1: not. 2: a file cannot be read.
    """
    signed, shown = _read_certificate(certificate)
    try:
        key_set = KeySet.import_key_set(json.loads(keys.read_text(encoding="utf-8")))
    except (OSError, ValueError, JoseError) as error:
        raise stop(f"{keys}: not a key set ({type(error).__name__})", UNREADABLE) from None
    try:
        payload: dict[str, Any] = json.loads(
            jws.deserialize_compact(signed, key_set, [ALGORITHM]).payload
        )
    except (JoseError, ValueError) as error:
        err.print(f"NOT VALID: {type(error).__name__}: no key of {keys} signed this certificate.")
        raise typer.Exit(REFUSED) from None
    if shown is not None and shown != payload:
        err.print("NOT VALID: the readable part differs from what was signed.")
        raise typer.Exit(REFUSED)
    if as_json:
        tell({"valid": True, "certificate": payload})
        return
    if certificate.suffix == ".pdf":
        out.print("The pages are a reading aid. What is signed is this:", soft_wrap=True)
    _show(payload)


def _read_certificate(path: Path) -> tuple[str, dict[str, Any] | None]:
    """The JWS in a file, and the readable part beside it if there is one."""
    try:
        content = path.read_bytes()
        if content.startswith(b"%PDF-"):
            return _inside_pdf(path, content), None
        text = content.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise stop(f"{path}: {type(error).__name__}", UNREADABLE) from None
    if not text.startswith("{"):
        return text, None
    try:
        shown = json.loads(text)
        return str(shown["jws"]), shown["certificate"]
    except (ValueError, KeyError, TypeError):
        raise stop(f"{path}: neither a certificate nor a JWS", UNREADABLE) from None


def _inside_pdf(path: Path, content: bytes) -> str:
    """The one signed statement that a PDF carries."""
    try:
        found = [
            one.content
            for one in PdfReader(io.BytesIO(content)).attachment_list
            if one.name == ATTACHMENT
        ]
    except Exception as error:  # noqa: BLE001 - a broken PDF breaks its reader in many ways
        raise stop(f"{path}: not a readable PDF ({type(error).__name__})", UNREADABLE) from None
    if len(found) != 1:
        raise stop(f"{path}: holds {len(found)} times {ATTACHMENT}, not once", UNREADABLE)
    return found[0].decode(errors="replace").strip()


def _show(payload: dict[str, Any]) -> None:
    out.print(
        f"VALID: erasure {payload['erasure_id']}, completed {payload['completed_at']}",
        soft_wrap=True,
    )
    table = Table("participant", "outcome", "acknowledged", "deleted", "detached", "kept")
    for participant in payload["participants"]:
        rows = list((participant["tables"] or {}).values())
        table.add_row(
            participant["name"],
            participant["outcome"],
            participant["acknowledged_at"],
            str(sum(row["deleted"] for row in rows)),
            str(sum(row["detached"] for row in rows)),
            str(sum(kept["rows"] for row in rows for kept in row["kept"])),
        )
    out.print(table)
    for participant in payload["participants"]:
        if waiver := participant.get("waiver"):
            out.print(
                f"NOT PROVEN: {participant['name']}, waived by the DPO on {waiver['waived_at']}: "
                f"{waiver['meaning']} ({waiver['reason']}, {waiver['reference'] or 'no reference'})",
                soft_wrap=True,
            )
    for kept in payload["kept"]:
        out.print(
            f"kept: {kept['participant']}.{kept['table']} until {kept['until']}: {kept['source']}",
            soft_wrap=True,
        )
    for scope in payload["out_of_scope"]:
        out.print(
            f"out of scope: {scope['what']}" + (f", {scope['until']}" if scope["until"] else ""),
            soft_wrap=True,
        )
