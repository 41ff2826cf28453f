"""The certificate as people get it: a document that says what was signed, and proves itself."""

import asyncio
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jws
from joserfc.jwk import ECKey
from pypdf import PdfReader, PdfWriter

from chassis import clock
from services.privacy.messages.certificates import ATTACHMENT, certificate_pdf
from tests.privacy.conftest import a_partner
from tests.privacy.test_status import key_of
from tests.privacy.troupe import Troupe, ask, completed, dpo, evidence
from tests.stand import Stand

PDF = {"Accept": "application/pdf"}
UNTIL = datetime(clock.now().year + 9, 1, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
async def signed(privacy: Stand, troupe: Troupe) -> dict[str, Any]:
    """A certificate with everything in it: erased, kept, told on a partner's word, and waived."""
    with troupe.silent("directory") as directory:
        async with a_partner(privacy) as honest, a_partner(privacy) as dead:
            erasure_id = await ask(privacy)
            await honest.give_word(await honest.next_command())
            kept = {"kept": [{"rule": "accounting", "rows": 3, "until": UNTIL.isoformat()}]}
            shown = evidence(erasure_id, outcome="kept_under_hold", invoice=kept)
            await directory.acknowledge(await directory.commanded(erasure_id), subjects=[shown])
            answer = await privacy.client.post(
                f"/api/privacy/erasures/{erasure_id}/steps/{dead.name}/waiver",
                json={"reason": "system_gone", "reference": "DPO-2026/017"},
                headers=dpo(privacy),
            )
            assert answer.status_code == 200
            await completed(privacy, erasure_id)
    key = key_of(privacy, erasure_id)
    path = f"/api/privacy/certificates/{erasure_id}"
    found = (await privacy.client.get(path, headers=key)).json()
    document = await privacy.client.get(path, headers=key | PDF)
    assert document.status_code == 200
    return {
        **found,
        "path": path,
        "key": key,
        "answer": document,
        "honest": honest.name,
        "dead": dead.name,
    }


def test_the_document_tells_in_french_what_was_signed(signed: dict[str, Any]) -> None:
    answer: httpx2.Response = signed["answer"]
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["vary"] == "Accept"
    reader = PdfReader(io.BytesIO(answer.content))
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    for fact in (
        "Certificat d’effacement".replace("’", "'"),
        signed["certificate"]["erasure_id"],
        signed["certificate"]["subject_id"],
        "suppression du compte par la personne",
        "Être trouvé",
        "Nom (directory)",
        "Code de commerce, art. L123-22",
        f"15 janvier {UNTIL.year}",
        signed["honest"],
        "Partenaire, sur parole",
        signed["dead"],
        "Non prouvé, dispensé par le DPO",
        "DPO-2026/017",
        "Sauvegardes des bases",
        "ccib verify",
        "Un identifiant opaque reste",
    ):
        assert fact in text.replace("’", "'"), (fact, text)
    assert "Chaque service de la plateforme et chaque système partenaire a confirmé" not in text


def test_the_document_is_tagged_for_those_who_listen_to_it(signed: dict[str, Any]) -> None:
    reader = PdfReader(io.BytesIO(signed["answer"].content))
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"].startswith("fr")
    assert "/StructTreeRoot" in root
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert reader.metadata is not None
    assert reader.metadata.title == "Certificat d'effacement"
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    fonts = {
        font.get_object()["/BaseFont"]
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert fonts
    assert all("+Libertinus" in font for font in fonts), fonts  # embedded subsets, nothing else


def test_the_document_carries_the_proof_that_it_is_a_reading_of(signed: dict[str, Any]) -> None:
    [attached] = PdfReader(io.BytesIO(signed["answer"].content)).attachment_list
    assert (attached.name, attached.content.decode()) == (ATTACHMENT, signed["jws"])


def verified(path: Path, privacy: Stand) -> subprocess.CompletedProcess[str]:
    keys = privacy.layout.trust / "certificates.jwks.json"
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "verify", path, "--keys", keys],
        capture_output=True,
        text=True,
        check=False,
        env={"NO_COLOR": "1", "COLUMNS": "200"},
    )


def with_attachments(document: bytes, *contents: str) -> bytes:
    """The same pages with other attachments."""
    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(document)).pages:
        writer.add_page(page)
    for content in contents:
        writer.add_attachment(ATTACHMENT, content.encode())
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


async def test_the_operator_s_command_verifies_the_document_itself(
    privacy: Stand, signed: dict[str, Any], tmp_path: Path
) -> None:
    document = signed["answer"].content
    head, payload, tail = signed["jws"].split(".")
    forged = jws.serialize_compact(
        {"alg": "ES256"}, json.dumps(signed["certificate"]), ECKey.generate_key("P-256"), ["ES256"]
    )
    cases = [
        (document, 0, "VALID"),
        (with_attachments(document, signed["jws"]), 0, "VALID"),
        (with_attachments(document, f"{head}.{payload}.{tail[:-4]}AAAA"), 1, "NOT VALID"),
        (with_attachments(document, forged), 1, "NOT VALID"),
        (with_attachments(document), 2, "0 times"),
        (with_attachments(document, forged, signed["jws"]), 2, "not once"),
        (document[: len(document) // 2], 2, ""),
        (b"%PDF-1.7 and nothing else", 2, ""),
    ]
    paths = []
    for number, (content, _, _) in enumerate(cases):
        path = tmp_path / f"{number}.pdf"
        path.write_bytes(content)
        paths.append(path)
    found = await asyncio.gather(*(asyncio.to_thread(verified, p, privacy) for p in paths))
    for (_, code, words), shown in zip(cases, found, strict=True):
        assert (shown.returncode, words in shown.stdout + shown.stderr) == (code, True), shown
    assert f"NOT PROVEN: {signed['dead']}" in found[0].stdout
    assert "reading aid" in found[0].stdout


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("application/json", "json"),
        ("application/pdf", "pdf"),
        ("APPLICATION/PDF", "pdf"),
        ("text/html, application/pdf;q=0.2", "pdf"),
        ("application/json;q=0.5, application/pdf", "pdf"),
        ("application/pdf;q=0.5, application/json;q=0.6", "json"),
        ("application/json;q=0, */*", "pdf"),
        ("*/*;q=0.1, application/pdf;q=0.2", "pdf"),
        ("application/pdf;q=0.8, */*;q=0.9", "json"),
        ("application/json;q=0, application/pdf;q=0", None),
        ("text/html", None),
        ("image/*", None),
        ("application/pdf;q=often", None),
        ("application/pdf;q=nan", None),
        (",;,=;q", None),
    ],
)
async def test_the_format_is_what_the_caller_likes_best(
    privacy: Stand, signed: dict[str, Any], accept: str | None, expected: str | None
) -> None:
    headers = dict(signed["key"])
    request = privacy.client.build_request("GET", signed["path"], headers=headers)
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    answer = await privacy.client.send(request)
    if expected is None:
        assert (answer.status_code, answer.json()["type"]) == (
            406,
            "urn:ccib:problem:not-acceptable",
        )
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            f"application/{expected}",
        )


def rendered(statement: dict[str, Any]) -> str:
    key = ECKey.generate_key("P-256")
    content = jws.serialize_compact({"alg": "ES256"}, json.dumps(statement), key, ["ES256"])
    reader = PdfReader(io.BytesIO(certificate_pdf(content)))
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_whatever_a_declaration_says_is_text_and_never_markup(signed: dict[str, Any]) -> None:
    hostile = '#panic() $x$ *b* _i_ `c` <l> @r \\ "q" #read("/etc/passwd") // end [ ] { }'
    every = "".join(map(chr, (*range(32, 127), *range(0xA1, 0x180), 0x2026, 0x20AC)))
    foreign = "漢字 مرحبا 🎉 \x00 \x07 \u202e \ud7ff \ufffe"
    for words in (hostile, every, foreign):
        statement = json.loads(json.dumps(signed["certificate"]))
        statement["kept"][0]["source"] = words
        statement["participants"][0]["name"] = words[:40]
        text = rendered(statement)
        assert "Certificat d" in text
        if words is hostile:
            assert "#panic()" in text
            assert "root:" not in text


def test_a_certificate_is_rendered_within_200_milliseconds(signed: dict[str, Any]) -> None:
    certificate_pdf(signed["jws"])
    spent = []
    for _ in range(10):
        started = time.perf_counter()
        certificate_pdf(signed["jws"])
        spent.append(time.perf_counter() - started)
    assert min(spent) < 0.2, spent
