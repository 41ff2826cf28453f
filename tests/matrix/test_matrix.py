"""Every cell of `docs/access.md`, tried against the services as they run."""

from typing import Any
from uuid import uuid4

import pytest

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from deploy.local.keys import make_secrets
from deploy.local.layout import SERVICES, Layout
from services.identity.credentials import TokenKeys, access_claims
from tests.matrix.conftest import Worlds
from tests.matrix.table import CALLERS, EVERY, IN, Row, read, routes
from tests.matrix.world import World
from tests.stand import ISSUER

ROWS = read()
CASES = [
    (service, row)
    for row in ROWS
    for service in (SERVICES if row.section == EVERY else [row.section])
]
_NONSENSE: dict[str, Any] = {"json": {"nonsense": ["?"]}}
_REFUSED = {401, 403, 404}


def _name(value: Any) -> str:
    return f"{value.route} - {value.about}" if isinstance(value, Row) else str(value)


@pytest.mark.parametrize("service", SERVICES)
async def test_every_route_has_a_row_and_every_row_a_route(worlds: Worlds, service: str) -> None:
    documented = {
        row.route.replace("{service}", service) for row in ROWS if row.section in (service, EVERY)
    }
    assert documented == set(routes((await worlds.of(service)).stand.app))


def test_no_row_is_told_twice() -> None:
    told = [(row.section, row.route, row.about) for row in ROWS]
    assert len(told) == len(set(told))


@pytest.mark.parametrize(("service", "row"), CASES, ids=_name)
async def test_a_route_lets_in_whom_its_row_lets_in(worlds: Worlds, service: str, row: Row) -> None:
    world = await worlds.of(service)
    world.forget()
    cells = sorted(zip(CALLERS, row.cells, strict=True), key=lambda cell: cell[1] == IN)
    wrong = [
        f"{caller}: {found}, not {cell}"
        for caller, cell in cells  # who is refused comes first: the thing is still there
        for found in await _tried(world, row, caller, cell)
    ]
    assert not wrong, f"{row}: " + "; ".join(wrong)


async def _tried(world: World, row: Row, caller: str, cell: str) -> list[str]:
    """What is not as the cell says."""
    call = await world.call(row, caller, fresh=cell == IN)
    headers = world.headers(caller, row)
    if cell == IN:
        answer = await world.send(row, call, headers)
        secret = world.hidden(caller) if caller != "scoped client" else set()
        shown = sorted(one for one in secret if row.method == "GET" and one in answer.text)
        right = answer.status_code not in _REFUSED or (call.nothing and answer.status_code == 404)
        return ([] if right else [str(answer.status_code)]) + [f"shows {one}" for one in shown]
    bodies: list[dict[str, Any]] = [{}]
    if call.send.keys() & {"json", "content", "data"} and (not call.thing or caller == "visitor"):
        bodies.append(_NONSENSE)  # who may not, learns nothing about what would be right
    found = [await world.send(row, call, headers, **body) for body in bodies]
    return [str(answer.status_code) for answer in found if answer.status_code != int(cell)]


@pytest.mark.parametrize(
    ("service", "route", "caller"),
    [
        ("directory", "GET /api/directory/companies", "neighbour"),
        ("directory", "GET /api/directory/companies", "agent"),
        ("directory", "GET /api/directory/communities/{community}/memberships", "animator"),
        ("consultations", "GET /api/consultations/consultations", "neighbour"),
        ("privacy", "GET /api/privacy/erasures", "dpo"),
        ("notifications", "GET /api/notifications/me/inbox", "owner"),
    ],
)
async def test_what_lists_hide_from_others_is_in_them_for_who_may_see_it(
    worlds: Worlds, service: str, route: str, caller: str
) -> None:
    world = await worlds.of(service)
    row = next(row for row in ROWS if row.route == route)
    answer = await world.send(row, await world.call(row, caller), world.headers(caller, row))
    assert any(one in answer.text for one in world.hidden("other agent")), answer.text


@pytest.fixture(scope="package")
def strangers_keys(tmp_path_factory: pytest.TempPathFactory) -> TokenKeys:
    """Keys of another platform."""
    layout = Layout(tmp_path_factory.mktemp("elsewhere"))
    layout.make()
    make_secrets(layout)
    return TokenKeys.load(layout.secrets / "identity" / "tokens")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_token_that_is_not_good_here_and_now_opens_nothing(
    worlds: Worlds, strangers_keys: TokenKeys, service: str
) -> None:
    world = await worlds.of(service)
    somebody, roles = new_id(), list(Role)
    claims = access_claims(
        issuer=ISSUER,
        subject=str(somebody),
        now=clock.now(),
        session_id=new_id(),
        roles=[role.value for role in roles],
    )
    others = [name for name in SERVICES if name != service]
    tokens = {
        "for another service": world.stand.token(somebody, roles=roles, audiences=others),
        "expired": world.stand.token(somebody, roles=roles, shift=-600),
        "signed by a stranger": {
            "Authorization": f"Bearer {strangers_keys.sign('at+jwt', claims)}"
        },
        "of another kind": {
            "Authorization": f"Bearer {world.stand.keys.sign('erasure-key+jwt', claims)}"
        },
        "of an erased person": await world.erased(),
        "no token at all": {"Authorization": f"Bearer {uuid4().hex}"},
    }
    wrong = []
    for row in (row for name, row in CASES if name == service and not row.public):
        call = await world.call(row, "stranger")
        for kind, headers in tokens.items():
            answer = await world.send(row, call, headers)
            if answer.status_code != 401:
                wrong.append(f"{row}: {kind}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
