"""People of the simulated platform: what they do, and what must never be found of them again."""

import json
import random
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from io import BytesIO
from typing import Any
from uuid import UUID

from joserfc import jws
from PIL import Image
from stdnum import luhn

from chassis import clock
from chassis.auth import Role
from chassis.catalogue import KEY, Fate, Subject
from chassis.errors import ReconcilingError
from chassis.ids import new_id
from contracts.privacy import Reason
from services.identity.actions import links
from services.privacy.actions import broadcasts
from tests.simulation.world import WIRED, World

PASSWORD = "Sept-Péniches-Bleues-42"


@dataclass(kw_only=True)
class Person:
    """Somebody who signed up. Every text that they type has their `word` in it."""

    id: UUID
    word: str
    session_id: UUID
    asked: bool = False
    company: str | None = None
    wishes: list[UUID] = field(default_factory=list)


async def signs_up(world: World) -> Person:
    """An account whose address is confirmed, and a session."""
    word = f"zq{secrets.token_hex(8)}"
    email = f"{word}@entreprise.example"
    made = await world.call(
        "identity",
        "POST",
        "/api/identity/accounts",
        json={"email": email, "password": PASSWORD, "notice_version": "2026-11"},
    )
    assert made is not None
    assert made.status_code == 202, made.text
    async with world.processes["identity"].runtime.db.transaction() as session:
        [token] = [one.token for one in await links.claim(session) if one.email == email]
    done = await world.call(
        "identity", "POST", "/api/identity/accounts/verify", json={"token": token}
    )
    assert done is not None
    assert done.status_code == 204, done.text
    [row] = await world.rows("identity", "SELECT id FROM account WHERE email = $1", email)
    pair = await world.call(
        "identity", "POST", "/api/identity/sessions", json={"email": email, "password": PASSWORD}
    )
    assert pair is not None
    claims = json.loads(jws.extract_compact(pair.json()["access_token"].encode()).payload)
    return Person(id=row["id"], word=word, session_id=UUID(claims["sid"]))


async def acts(world: World, person: Person, what: str, *, community: str, dies: int = 0) -> None:
    """Do one thing, which may be refused: after the erasure, before a fact has come, by a gate."""

    async def call(name: str, method: str, path: str, **how: Any) -> Any:
        headers = {**world.headers(person.id, roles=(Role.BUYER,)), **how.pop("headers", {})}
        answer = await world.call(
            name, method, f"/api/{name}{path}", headers=headers, dies=dies, **how
        )
        if answer is not None and (answer.status_code == 422 or answer.status_code == 500):
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    word = person.word
    match what:
        case "profile":
            profile = {"last_name": f"Nom {word}", "first_name": "Anaïs", "about": f"Lu {word}"}
            await call("directory", "PUT", "/me/profile", json=profile)
        case "photo":
            await call(
                "directory",
                "PUT",
                "/me/photo",
                content=_picture(),
                headers={"Content-Type": "image/png"},
            )
        case "company":
            made = await call("directory", "POST", "/companies", json=_sheet(word))
            if made is not None and made.status_code == 201:
                person.company = made.json()["id"]
        case "join" if person.company:
            await call(
                "directory",
                "POST",
                f"/communities/{community}/memberships",
                json={"company_id": person.company, "answers": {"motif": f"Motif {word}"}},
            )
        case "leave" if person.company:
            await call("directory", "DELETE", f"/companies/{person.company}/attachments/me")
        case "publish" if person.company:
            draft = {
                "company_id": person.company,
                "title": "Vannes en inox",
                "description": "Deux cents vannes.",
                "kind": "sourcing",
                "communities": [community],
                "closes_at": (clock.now() + timedelta(days=30)).isoformat(),
                "contact": {"name": f"Contact {word}"},
            }
            made = await call("consultations", "POST", "/consultations", json=draft)
            if made is not None and made.status_code == 201:
                path = f"/consultations/{made.json()['id']}/publication"
                await call("consultations", "POST", path)
        case "consent":
            body = {"purpose": "audience", "notice_version": "2026-11"}
            await call("privacy", "POST", "/me/consents", json=body)
        case "withdraw":
            await call("privacy", "DELETE", "/me/consents/audience")
        case "refuse":
            await call("notifications", "POST", "/me/preferences/refuse-all")


ACTS = (
    "profile", "photo", "company", "join", "leave", "publish", "consent", "withdraw", "refuse"
)  # fmt: skip


async def asks(
    world: World,
    person: Person,
    door: str,
    *,
    dies: int = 0,
    reason: Reason = Reason.RIGHTS_REQUEST,
) -> None:
    """Ask to be forgotten: with the account, or in a request that the DPO handles."""
    if door == "account":
        answer = await world.call(
            "identity",
            "DELETE",
            "/api/identity/me",
            headers=world.headers(person.id, session_id=person.session_id),
            json={"password": PASSWORD},
            dies=dies,
        )
        person.asked |= answer is not None and answer.status_code == 202
        return
    runtime = world.processes["privacy"].runtime
    async with world.living("privacy", dies=dies):
        try:
            async with runtime.db.transaction() as session:
                await broadcasts.request_erasure(
                    session,
                    erasure_id=new_id(),
                    subject_id=person.id,
                    reason=reason,
                    requested_at=clock.now(),
                )
            person.asked = True
        except (ReconcilingError, OSError):
            pass


async def an_open_community(world: World) -> str:
    """The id of a community that anybody may join."""
    made = await world.call(
        "directory",
        "POST",
        "/api/directory/communities",
        headers=world.headers(new_id(), roles=(Role.OPERATOR,)),
        json={
            "slug": f"c-{secrets.token_hex(4)}",
            "name": "Essai",
            "cci": "cci-normandie",
            "open_joining": True,
        },
    )
    assert made is not None
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def _sheet(word: str) -> dict[str, Any]:
    siren = f"{secrets.randbelow(9 * 10**7) + 10**7}"
    siren += luhn.calc_check_digit(siren)
    siret = f"{siren}{random.randrange(10**4):04}"
    return {
        "siret": siret + luhn.calc_check_digit(siret),
        "name": f"Société {word}",
        "sole_trader": True,
        "address": {"street": f"1 rue {word}", "postcode": "76600", "commune_code": "76351"},
        "phone": "+33235301234",
        "email": f"{word}@societe.example",
    }


def _picture() -> bytes:
    drawn = BytesIO()
    Image.frombytes("RGB", (8, 8), secrets.token_bytes(192)).save(drawn, "PNG")
    return drawn.getvalue()


# --- what is there of a person


async def found(world: World, name: str, text: str) -> list[str]:
    """The tables of a service in which the text stands anywhere, also inside messages."""
    tables = list(world.processes[name].wired.catalogue.metadata.tables)
    looks = " UNION ALL ".join(
        f"SELECT '{table}' AS place WHERE EXISTS (SELECT FROM \"{table}\" t"
        " WHERE t::text LIKE $1 OR t::text LIKE $2)"
        for table in tables
    )
    rows = await world.rows(name, looks, f"%{text}%", f"%{text.encode().hex()}%")
    return [row["place"] for row in rows]


async def held(world: World, name: str, person: UUID) -> dict[str, int]:
    """Rows that name the person and may not outlive them, and whether there is a tombstone."""
    counted: dict[str, int] = {}
    for row in await world.rows(name, _places(name), person):
        counted[row["place"]] = counted.get(row["place"], 0) + row["count"]
    return counted


@cache
def _places(name: str) -> str:
    catalogue = WIRED[name].catalogue
    looks = [
        f'SELECT \'{table.name}\' AS place, count(*) FROM "{table.name}" WHERE "{column.name}" = $1'
        for table in catalogue.metadata.tables.values()
        for column in table.columns
        if isinstance(column.info[KEY], Subject) and column.info[KEY].fate is not Fate.KEEP
    ]
    looks.append(
        "SELECT 'tombstone', count(*) FROM data_subject WHERE id = $1 AND erased_at IS NOT NULL"
    )
    return " UNION ALL ".join(looks)


async def portrait(world: World, name: str, person: Person) -> str:
    """A fingerprint of all rows in which the person, or a word of theirs, stands."""
    tables = [
        table
        for table in world.processes[name].wired.catalogue.metadata.tables
        if table not in ("outbox", "inbox", "aggregate_sequence", "applied")
    ]
    rows = " UNION ALL ".join(
        f"SELECT '{table}' || t::text AS row FROM \"{table}\" t"
        " WHERE t::text LIKE $1 OR t::text LIKE $2"
        for table in tables
    )
    [row] = await world.rows(
        name,
        f"SELECT md5(string_agg(row, '|' ORDER BY row)) AS print FROM ({rows}) all_rows",
        f"%{person.id}%",
        f"%{person.word}%",
    )
    return str(row["print"])
