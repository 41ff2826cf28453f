"""The notice and the register tell what runs, not what somebody wrote about it."""

from chassis.evidence import digest
from chassis.ids import new_id
from contracts.privacy import NoticePublished
from tests.privacy.conftest import OTHERS
from tests.privacy.troupe import Troupe, a_manifest, dpo
from tests.stand import Stand


async def test_anyone_reads_the_notice_in_force(privacy: Stand) -> None:
    notice = (await privacy.client.get("/api/privacy/notice")).json()
    assert notice["version"] == "2026-11"
    assert "CNIL" in notice["content"]["reclamation"]
    told = await privacy.hear(NoticePublished, notice_version="2026-11")
    assert told["in_force_from"].startswith("2026-11-01")


async def test_the_tables_of_the_notice_come_from_the_manifests(
    privacy: Stand, troupe: Troupe
) -> None:
    notice = (await privacy.client.get("/api/privacy/notice")).json()
    lines = {(line["service"], line["table"]): line for line in notice["processing"]}
    assert {service for service, _ in lines} == {"privacy", *OTHERS}
    assert lines["directory", "profile"]["data"] == [
        {"label": "Nom (directory)", "category": "identity", "mandatory": True}
    ]
    assert lines["directory", "invoice"]["kept_under"] == "Code de commerce, art. L123-22"
    assert ("directory", "commune") not in lines
    assert lines["privacy", "consent"]["fate"] == "delete"


async def test_a_service_that_holds_more_says_so_in_the_next_notice(
    privacy: Stand, troupe: Troupe
) -> None:
    manifest = a_manifest("directory")
    manifest["tables"]["profile"]["columns"]["last_name"]["label"] = f"Nom de {new_id()}"
    try:
        await troupe["directory"].announce(manifest)
        await privacy.eventually(
            "SELECT count(*) FROM manifest WHERE manifest_hash = $1", digest(manifest)
        )
        label = manifest["tables"]["profile"]["columns"]["last_name"]["label"]
        assert label in (await privacy.client.get("/api/privacy/notice")).text
        register = await privacy.client.get("/api/privacy/register", headers=dpo(privacy))
        assert register.json()["manifests"]["directory"] == digest(manifest)
        assert label in register.text
    finally:
        await troupe["directory"].announce()
        await privacy.eventually(
            "SELECT manifest_hash = $1 FROM manifest WHERE participant = 'directory'"
            " ORDER BY announced_at DESC LIMIT 1",
            digest(troupe["directory"].manifest),
        )
