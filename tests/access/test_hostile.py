"""Whatever somebody typed stays text, in every document; what is closed opens whole or not at all."""

import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.privacy.credentials import Sealer, new_export_key, opening, unsealed
from tests.access.conftest import Data, Street
from tests.access.test_exports import opened, whole

MESSAGES = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</td></table></html><style>*{display:none}</style>",
    '#eval("1") *gras* $x$ \\ @ref <etiquette> #read("/etc/passwd") // commentaire',
    "{{ 7 * 7 }} {% raw %} {# #}",
    '=HYPERLINK("http://ailleurs.example";"clic")',
    "+33235112233",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "＝1+1",
    "😀 👩‍🚒 🇫🇷",
    "مرحبا \u202eexe.gpj",
    "avant\u0000\u0007\u001b[31maprès",
    "ligne\r\nligne\u2028ligne",
    "é" * 9000,
    '";"\n"',
]


class Elements(HTMLParser):
    """The names of the elements of a page, with their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.names[-1:] == ["td"]:
            self.cells[-1] += data


@pytest.fixture(scope="module")
async def archive(street: Street) -> zipfile.ZipFile:
    """The copy of somebody whom a neighbour says to have typed all this."""
    person = uuid4()
    rows: list[Data] = [{"message": message} for message in MESSAGES]
    rows += [{"contact_name": "../../" * 20}]
    body = json.dumps(street.neighbour.held(reply=rows)).encode()
    with street.neighbour.doing(body=body):
        export_id, key = await street.requests(person)
        await street.ready(person, export_id)
    return await opened(street, person, export_id, key)


def clean(text: str) -> str:
    return "".join("\ufffd" if c in "\x00\x07\x1b\r" else c for c in text)


async def test_names_in_the_archive_lead_nowhere(archive: zipfile.ZipFile) -> None:
    for name in archive.namelist():
        assert ".." not in name.split("/")
        assert not name.startswith("/")
        assert len(name) < 200


async def test_html_stays_text(archive: zipfile.ZipFile) -> None:
    page = Elements(archive.read("donnees.html").decode())
    assert not {"script", "img", "iframe", "link", "object"} & set(page.names)
    assert page.names.count("style") == 1
    for message in MESSAGES:
        assert clean(message).strip() in [cell.strip() for cell in page.cells], message[:40]


async def test_a_spreadsheet_sees_no_formula(archive: zipfile.ZipFile) -> None:
    sheet = archive.read("tableaux/consultations_reply_person_id.csv").decode("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(sheet, newline=""), delimiter=";")
    place = head.index("Texte de la réponse")
    cells = [row[place] for row in rows]
    for message in MESSAGES:
        formula = message.strip()[0] in "=+-@＝"
        assert ("'" if formula else "") + clean(message) in cells, message[:40]


async def test_the_portable_form_keeps_every_sign(archive: zipfile.ZipFile) -> None:
    [consultations] = [s for s in whole(archive)["services"] if s["service"] == "consultations"]
    [reply] = [s for s in consultations["sections"] if s["table"] == "reply"]
    assert [row["message"] for row in reply["rows"]][:-1] == MESSAGES


async def test_the_print_is_tagged_french_and_titled(archive: zipfile.ZipFile) -> None:
    pdf = archive.read("donnees.pdf")
    assert b"/StructTreeRoot" in pdf
    assert b"/Lang (fr-FR)" in pdf or b"/Lang(fr-FR)" in pdf
    assert b"root:" not in pdf


async def parts(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def plain(closed: bytes, key: str, public: bytes, context: bytes, size: int) -> bytes:
    private = opening(key, public=public)
    assert private is not None
    pieces = unsealed(parts(closed, size), private=private, context=context)
    return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("length", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
async def test_what_is_closed_opens_as_it_was(length: int) -> None:
    key, target, content = new_export_key(), io.BytesIO(), bytes(range(256)) * (length // 256 + 1)
    sealer = Sealer(target, public=key.public, context=b"one")
    for start in range(0, length, 70_000):
        sealer.write(content[start : min(start + 70_000, length)])
    sealer.close()
    assert sealer.size == length
    for size in (999, 1 << 20, 10 << 20):
        found = await plain(target.getvalue(), key.private, key.public, b"one", size)
        assert found == content[:length]


async def test_pieces_cannot_be_dropped_moved_or_taken_elsewhere() -> None:
    key, target = new_export_key(), io.BytesIO()
    sealer = Sealer(target, public=key.public, context=b"one")
    sealer.write(b"a" * (3 << 20))
    sealer.close()
    closed, piece = target.getvalue(), (1 << 20) + 16
    head = len(closed) - 3 * piece
    swapped = closed[:head] + closed[head + piece : head + 2 * piece] + closed[head : head + piece]
    for spoilt, context in (
        (closed[: head + piece], b"one"),
        (closed[:head] + closed[head + piece :], b"one"),
        (swapped + closed[head + 2 * piece :], b"one"),
        (closed[:-1] + bytes([closed[-1] ^ 1]), b"one"),
        (closed + closed[head:], b"one"),
        (closed, b"two"),
        (b"CCIBX2" + closed[6:], b"one"),
    ):
        with pytest.raises(InvalidTag):
            await plain(spoilt, key.private, key.public, context, 65_536)
    assert opening(new_export_key().private, public=key.public) is None
    other = X25519PrivateKey.generate()
    with pytest.raises(InvalidTag):
        [p async for p in unsealed(parts(closed, 1 << 20), private=other, context=b"one")]


async def test_a_hostile_person_id_is_refused(street: Street) -> None:
    await street.call(UUID(int=1), "GET", "me/exports/..%2f/archive", expect=404)
