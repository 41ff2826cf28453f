"""One running service, whose dead letters and audit stand for those of all: the door is the same."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx2
import pytest

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from contracts.base import Event
from contracts.directory import AttachmentRole, PersonAttached
from services.consultations.wiring import SERVICE
from tests.mailbox import Mailbox
from tests.stand import Stand, standing


@dataclass(kw_only=True)
class Desk:
    """An operator at a service."""

    stand: Stand
    operator: UUID = field(default_factory=new_id)

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        if headers is None:
            headers = self.stand.token(self.operator, roles=[Role.OPERATOR])
        return await self.stand.client.request(
            method, f"/api/consultations/{path}", headers=headers, **more
        )

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.call("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **body: Any) -> Any:
        answer = await self.call("POST", path, json=body or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def dead(
        self,
        event: Event | None = None,
        *,
        reason: str = "LookupError",
        state: str = "dead",
        body: bytes | None = None,
        type: str | None = None,
        days: int = 0,
        **data: Any,
    ) -> UUID:
        """An event whose every try failed; `data` changes what it says."""
        event, event_id = event or attached(), new_id()
        envelope = {
            "specversion": "1.0",
            "id": str(event_id),
            "source": f"/services/{event.owner}",
            "type": type or event.event_type(),
            "subject": event.subject,
            "time": clock.now().isoformat(),
            "data": {**event.model_dump(mode="json"), **data},
        }
        await self.stand.rows(
            "INSERT INTO inbox (event_id, aggregate, received_at, state, attempts, type, body,"
            " sender, reason) VALUES ($1, $2, $3, $4, 5, $5, $6, $7, $8)",
            event_id,
            event.subject,
            clock.now() - timedelta(days=days),
            state,
            envelope["type"] if body is None else None,
            json.dumps(envelope).encode() if body is None else body,
            f"{self.stand.vhost}-directory",
            reason,
        )
        return event_id

    async def state(self, event_id: UUID) -> str:
        found = await self.stand.rows("SELECT state FROM inbox WHERE event_id = $1", event_id)
        return str(found[0][0])

    async def actions(self) -> list[dict[str, Any]]:
        """What this operator did, newest first, without its ids and instants."""
        found = (await self.get("operator-actions", limit=100))["items"]
        return [
            {"action": one["action"], **one["about"]}
            for one in found
            if one["person_id"] == str(self.operator)
        ]


def attached(person: UUID | None = None) -> PersonAttached:
    return PersonAttached(
        company_id=new_id(), person_id=person or new_id(), role=AttachmentRole.COLLEAGUE
    )


@pytest.fixture(scope="package")
async def service(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("operator")
    async with standing(SERVICE, servers=servers, folder=folder, smtp_url=mailbox.url) as stand:
        yield stand


@pytest.fixture
async def desk(service: Stand) -> Desk:
    """An operator of this test alone, and no letters of another one."""
    await service.rows("DELETE FROM inbox")
    await service.rows("DELETE FROM outbox")
    return Desk(stand=service)
