"""The mail sink: everything sent is kept and shown, nothing of it can act."""

from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx2
import pytest
from asgi_lifespan import LifespanManager

from deploy.local import mail, processes
from deploy.local.mail import Spool, build_app


class Box:
    """A running sink: its SMTP port and a browser of its page."""

    def __init__(self, *, port: int, page: httpx2.AsyncClient) -> None:
        self.port, self.page = port, page

    async def send(self, message: EmailMessage) -> None:
        await aiosmtplib.send(message, hostname="127.0.0.1", port=self.port)

    async def only_id(self) -> str:
        (line,) = (await self.page.get("/messages")).json()
        return str(line["id"])


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    (port,) = processes.free_ports(1)
    app = build_app(spool=Spool(tmp_path), smtp_port=port)
    transport = httpx2.ASGITransport(app=app)
    async with (
        LifespanManager(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as page,
    ):
        yield Box(port=port, page=page)


def a_mail(*, subject: str = "Confirmez votre adresse", text: str = "Bonjour") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "CCI Business <ne-pas-repondre@ccibusiness.example>"
    message["To"] = "Zoé Lefèvre <zoe@exemple.fr>"
    message["Subject"] = subject
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(text)
    return message


async def test_a_mail_is_listed_and_read_whole(box: Box) -> None:
    await box.send(a_mail(text="Voici le lien : http://127.0.0.1:8000/x?token=abc_D-1"))
    (line,) = (await box.page.get("/messages")).json()
    assert line["to"] == ["zoe@exemple.fr"]
    assert line["from"] == "CCI Business <ne-pas-repondre@ccibusiness.example>"
    assert line["subject"] == "Confirmez votre adresse"
    assert line["received_at"].endswith("+00:00")
    whole = (await box.page.get(f"/messages/{line['id']}")).json()
    assert whole["text"].strip() == "Voici le lien : http://127.0.0.1:8000/x?token=abc_D-1"
    assert ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"] in whole["headers"]
    assert whole["html"] == ""
    assert "Subject: Confirmez votre adresse" in whole["raw"]


async def test_the_newest_mail_comes_first_and_all_can_be_thrown_away(box: Box) -> None:
    for subject in ("un", "deux", "trois"):
        await box.send(a_mail(subject=subject))
    lines = (await box.page.get("/messages")).json()
    assert [line["subject"] for line in lines] == ["trois", "deux", "un"]
    assert (await box.page.delete("/messages")).status_code == 204
    assert (await box.page.get("/messages")).json() == []


async def test_a_restart_keeps_the_mails(box: Box, tmp_path: Path) -> None:
    await box.send(a_mail())
    (kept,) = Spool(tmp_path).summaries()
    assert kept.subject == "Confirmez votre adresse"


async def test_the_oldest_mails_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "KEPT", 2)
    spool = Spool(tmp_path)
    for subject in ("un", "deux", "trois"):
        spool.keep(content=bytes(a_mail(subject=subject)), recipients=["zoe@exemple.fr"])
    assert [line.subject for line in spool.summaries()] == ["trois", "deux"]
    assert len(list(tmp_path.iterdir())) == 4


async def test_links_can_be_followed_and_text_cannot_act(box: Box) -> None:
    await box.send(
        a_mail(
            subject="<script>alert(1)</script>",
            text='Lien <https://exemple.fr/a?b=1&c="2">, puis http://exemple.fr/fin. <b>gras</b>',
        )
    )
    page = (await box.page.get(f"/mails/{await box.only_id()}")).text
    assert '<a href="https://exemple.fr/a?b=1&amp;c=" rel="noopener noreferrer">' in page
    assert '<a href="http://exemple.fr/fin" rel="noopener noreferrer">' in page
    assert "&lt;b&gt;gras&lt;/b&gt;" in page
    assert "<script>" not in page


async def test_the_formatted_version_is_shown_in_a_cage(box: Box) -> None:
    message = a_mail(text="En clair")
    message.add_alternative("<p>Bonjour</p><script>alert(1)</script>", subtype="html")
    await box.send(message)
    name = await box.only_id()
    page = await box.page.get(f"/mails/{name}")
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    body = await box.page.get(f"/mails/{name}/html")
    assert "<p>Bonjour</p>" in body.text
    assert body.headers["content-security-policy"].startswith("sandbox allow-popups")
    assert "script-src" not in body.headers["content-security-policy"]
    assert (await box.page.get(f"/messages/{name}")).json()["text"].strip() == "En clair"


@pytest.mark.parametrize("name", ["0190", "..%2fsecrets", "../stack"])
async def test_a_mail_that_is_not_there_is_a_page_that_says_so(box: Box, name: str) -> None:
    answer = await box.page.get(f"/mails/{name}")
    assert answer.status_code == 404
    assert "Cette page n'existe pas" in answer.text.replace("&#39;", "'")


async def test_another_site_cannot_read_the_mails_through_a_name_of_its_own(box: Box) -> None:
    answer = await box.page.get("/messages", headers={"Host": "attacker.example"})
    assert answer.status_code == 400


async def test_pages_load_nothing_from_elsewhere(box: Box) -> None:
    page = (await box.page.get("/")).text
    assert "Aucun message" in page
    assert "http" not in page
    assert (await box.page.get("/static/site.css")).status_code == 200
