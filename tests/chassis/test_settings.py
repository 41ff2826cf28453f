"""What a process is told: passwords and authorities become part of the addresses, or it does not start."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chassis.http import build_app
from chassis.mail import MailNotSentError, send
from services.privacy.settings import Settings

PASSWORDS = {
    "database_password": "p@ss/word?#",
    "amqp_password": "b r",
    "broker_admin_password": "admin",
    "smtp_password": "mail",
}


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    for name, text in PASSWORDS.items():
        (tmp_path / name).write_text(f"{text}\n")
    return {
        "database_url": "postgresql://ccib_privacy@db:5432/ccib_privacy",
        "amqp_url": "amqp://privacy@mq:5671/ccib",
        "broker_admin_url": "http://admin@mq:15671/ccib",
        "smtp_url": "smtp://site@mail:587",
        "identity_url": "http://identity",
        "issuer": "https://example.org",
        "public_url": "https://example.org",
        "storage_url": "s3://files/privacy",
        "ledger_url": "s3://ledger",
        "secrets_dir": str(tmp_path),
        "trust_dir": str(tmp_path),
        "mail_from": "a@example.org",
        "dpo_address": "dpo@example.org",
    }


def test_passwords_come_from_files(told: dict[str, Any]) -> None:
    read = Settings.model_validate(told)
    assert read.database_url == (
        "postgresql://ccib_privacy:p%40ss%2Fword%3F%23@db:5432/ccib_privacy"
    )
    assert read.amqp_url == "amqp://privacy:b%20r@mq:5671/ccib"
    assert read.broker_admin_url == "http://admin:admin@mq:15671/ccib"
    assert read.smtp_url == "smtp://site:mail@mail:587"


def test_they_come_from_files_of_a_process_too(
    told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(f"CCIB_{name.upper()}", str(value))
    assert Settings.load() == Settings.model_validate(told)


def test_a_password_in_the_address_is_taken(told: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "database_password").unlink()
    read = Settings.model_validate(told | {"database_url": "postgresql://a:b@db/c"})
    assert read.database_url == "postgresql://a:b@db/c"


@pytest.mark.parametrize(
    ("field", "file"),
    [
        ("database_url", "database_password"),
        ("amqp_url", "amqp_password"),
        ("broker_admin_url", "broker_admin_password"),
        ("smtp_url", "smtp_password"),
    ],
)
def test_without_a_password_nothing_starts_and_the_file_is_named(
    told: dict[str, Any], tmp_path: Path, field: str, file: str
) -> None:
    (tmp_path / file).unlink()
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(told)
    [error] = refused.value.errors()
    assert error["loc"] == (field,)
    assert f"{tmp_path / file} cannot be read" in error["msg"]
    (tmp_path / file).write_text("\n")
    with pytest.raises(ValidationError, match=f"{file} is empty"):
        Settings.model_validate(told)


def test_a_mail_server_that_asks_for_no_user_needs_no_password(
    told: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "smtp_password").unlink()
    assert Settings.model_validate(told | {"smtp_url": "smtp://mail:25"}).smtp_url


def test_with_an_authority_every_address_is_a_verified_one(
    told: dict[str, Any], tmp_path: Path
) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("certificates")
    told |= {"database_ca_file": str(ca), "amqp_ca_file": str(ca)}
    told["database_url"] += "?sslmode=prefer&application_name=x"
    told["amqp_url"] += "?no_verify_ssl=1&heartbeat=5"
    read = Settings.model_validate(told)
    assert read.database_url.endswith(
        f"/ccib_privacy?sslmode=verify-full&application_name=x&sslrootcert={ca}"
    )
    assert read.amqp_url == f"amqps://privacy:b%20r@mq:5671/ccib?heartbeat=5&cafile={ca}"
    assert read.broker_admin_url == f"https://admin:admin@mq:15671/ccib?cafile={ca}"


def test_an_authority_that_is_not_there_stops_the_start(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"/absent\.crt: no such file"):
        Settings.model_validate(told | {"database_ca_file": "/absent.crt"})


def test_what_is_refused_does_not_repeat_what_was_told(told: dict[str, Any]) -> None:
    told["database_url"] = "postgresql://a:hunter2@db/c"
    told["database_pool"] = "many hunter2"
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(told)
    assert "hunter2" not in str(refused.value)


def test_object_storage_takes_both_files_or_none(told: dict[str, Any], tmp_path: Path) -> None:
    read = Settings.model_validate(told)
    assert read.storage_credentials() == {}
    (tmp_path / "storage_access_key_id").write_text("id\n")
    with pytest.raises(FileNotFoundError, match="storage_secret_access_key"):
        read.storage_credentials()
    (tmp_path / "storage_secret_access_key").write_text("key\n")
    assert read.storage_credentials() == {"access_key_id": "id", "secret_access_key": "key"}


def test_the_interface_is_described_where_that_is_wanted_alone(told: dict[str, Any]) -> None:
    assert not Settings.model_validate(told).api_docs

    def paths(*, described: bool) -> set[str]:
        app = build_app(name="x", description="", max_body_bytes=1, described=described)
        return {route.path for route in app.routes}

    assert paths(described=True) - paths(described=False) == {
        "/api/x/openapi.json",
        "/api/x/docs",
        "/api/x/docs-assets",
        "/api/x/docs/oauth2-redirect",
    }
    assert not {path for path in paths(described=False) if path.startswith("/api/x")}


async def test_a_mail_password_is_not_told_in_the_clear() -> None:
    """A server that offers a login and no encryption."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        while line := await reader.readline():
            heard.append(line)
            ehlo = line.startswith(b"EHLO")
            writer.write(b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n" if ehlo else b"502 no\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, family=socket.AF_INET) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(MailNotSentError):
            await send(
                smtp_url=f"smtp://site:hunter2@127.0.0.1:{port}",
                sender="a@example.org",
                to="b@example.org",
                subject="s",
                text="t",
            )
    assert not [line for line in heard if b"AUTH" in line]
