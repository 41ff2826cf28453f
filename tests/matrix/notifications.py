"""Somebody with a newsletter and a notice, and everybody else."""

from typing import Any
from uuid import UUID

from chassis.ids import new_id
from contracts.directory import CommunityOpened, MembershipGranted
from services.notifications.credentials import unsubscribe_token
from tests.matrix.table import Row
from tests.matrix.world import Call, World

API = "/api/notifications"


class NotificationsWorld(World):
    """The owner and the neighbour belong to one community."""

    community: UUID

    async def build(self) -> None:
        self.community = new_id()
        say, eventually = self.stand.say, self.stand.eventually
        await say(CommunityOpened(community_id=self.community, slug="filiere", cci="normandie"))
        for name in ("owner", "neighbour"):
            await say(
                MembershipGranted(
                    membership_id=new_id(),
                    person_id=self.people[name],
                    company_id=new_id(),
                    community_id=self.community,
                )
            )
            await eventually(
                "SELECT true FROM subscription WHERE person_id = $1", self.people[name]
            )
        self.notice = await eventually(
            "SELECT id FROM notice WHERE person_id = $1", self.people["owner"]
        )
        self.subscription = await eventually(
            "SELECT id FROM subscription WHERE person_id = $1", self.people["owner"]
        )

    def hidden(self, caller: str) -> set[str]:
        inside = {"owner", "neighbour"}
        return {
            str(self.subscription),
            *(() if caller == "owner" else (str(self.notice),)),
            *(() if caller in inside else (str(self.community),)),
        }


World_ = NotificationsWorld


async def _choices(world: World_, _: Row, caller: str) -> Call:
    chosen = [{"community_id": str(world.community), "subscribed": True}]
    return Call(send={"json": chosen if caller in {"owner", "neighbour"} else []})


async def _preferences(*_: Any) -> Call:
    return Call(send={"json": []})


async def _notice(world: World_, *_: Any) -> Call:
    return Call(path={"notice_id": world.notice})


async def _token(world: World_, *_: Any) -> Call:
    key = world.stand.settings.secret("unsubscribe.key")
    return Call(path={"token": unsubscribe_token(key=key, subscription_id=world.subscription)})


NotificationsWorld.recipes = {
    f"PUT {API}/me/subscriptions": _choices,
    f"PUT {API}/me/preferences": _preferences,
    f"POST {API}/me/inbox/{{notice_id}}/read": _notice,
    f"GET {API}/unsubscribe/{{token}}": _token,
    f"POST {API}/unsubscribe/{{token}}": _token,
}
