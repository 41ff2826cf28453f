"""Somebody who asked for everything that one can ask privacy for."""

from typing import Any
from uuid import UUID, uuid4

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from contracts.directory import MembershipsTold
from services.identity.credentials import erasure_key_claims
from tests.matrix.table import Row
from tests.matrix.world import PEOPLE, Call, Headers, World
from tests.privacy.troupe import ask
from tests.stand import ISSUER

API = "/api/privacy"
NOTICE = "2026-11"
_REASON = {"reason": "system_gone", "reference": "DPO-1"}


class PrivacyWorld(World):
    """Erasures wait here for services that are not there, which is what most routes are about."""

    async def build(self) -> None:
        self.erasure = await ask(self.stand)
        await self.stand.say(MembershipsTold(until=clock.now()))
        await self.stand.eventually("SELECT true FROM step WHERE erasure_id = $1", self.erasure)
        await self.stand.eventually("SELECT until FROM memberships_heard")
        for name in PEOPLE:
            await self.agrees(name)
        found = await self.asks("GET", "/me/consents", self.person("owner"))
        self.consent = found[0]["consent_id"]
        self.request = await self.a_request()
        self.partner = await self.a_partner()

    async def asks(self, method: str, path: str, who: Headers, **how: Any) -> Any:
        answer = await self.stand.client.request(method, f"{API}{path}", headers=who, **how)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def agrees(self, name: str) -> None:
        for purpose in ("platform", "audience"):
            body = {"purpose": purpose, "notice_version": NOTICE}
            await self.asks("POST", "/me/consents", self.person(name), json=body)

    async def a_request(self) -> str:
        """An open request of the owner's; one of that kind is open at a time."""
        await self.stand.rows(
            "UPDATE rights_request SET state = 'refused', paused_on = NULL, closed_at = now()"
            " WHERE subject_id = $1 AND state IN ('open', 'identity_check')",
            self.people["owner"],
        )
        opened = await self.asks(
            "POST",
            "/me/rights-requests",
            self.person("owner"),
            json={"kind": "rectification", "message": "Mon nom est mal écrit."},
        )
        return str(opened["request_id"])

    async def a_partner(self) -> str:
        name = f"p-{uuid4().hex[:10]}"
        body = {"name": name, "contact": "rgpd@partenaire.example"}
        await self.asks("POST", "/participants", self.person("operator"), json=body)
        return name

    async def an_export(self) -> tuple[str, str]:
        """A copy that waited a day for services that did not answer, then was made without them."""
        await self.stand.rows("DELETE FROM export WHERE person_id = $1", self.people["owner"])
        made = await self.asks("POST", "/me/exports", self.person("owner"))
        await self.stand.rows(
            "UPDATE export SET requested_at = requested_at - interval '25 hours',"
            " due_at = requested_at WHERE id = $1",
            UUID(made["id"]),
        )
        self.stand.runtime.db.bells["export"].set()
        await self.stand.eventually(
            "SELECT state = 'ready' FROM export WHERE id = $1", UUID(made["id"])
        )
        return made["id"], made["key"]

    async def a_run(self) -> str:
        found = await self.asks("GET", "/retention/runs", self.person("dpo"))
        if not found["items"]:
            rule = {"rule": (await self.rules())[0]["id"]}
            await self.asks("POST", "/retention/runs", self.person("dpo"), json=rule)
            found = await self.asks("GET", "/retention/runs", self.person("dpo"))
        return str(found["items"][0]["id"])

    async def rules(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.asks("GET", "/retention/rules", self.person("dpo"))
        return found

    async def a_choice(self) -> str:
        made = await self.stand.client.post(f"{API}/cookie-choices", json={"audience": True})
        return str(made.json()["id"])

    def hidden(self, caller: str) -> set[str]:
        seen = {"owner"} if caller == "owner" else {"owner", "dpo"} & {caller}
        return set() if seen else {str(self.request), str(self.consent), str(self.erasure)}

    async def erased(self) -> Headers:
        person = new_id()
        await ask(self.stand, person)
        await self.stand.eventually(
            "SELECT erased_at IS NOT NULL FROM data_subject WHERE id = $1", person
        )
        return self.stand.token(person, roles=list(Role))


World_ = PrivacyWorld


async def _erasure(world: World_, _: Row, caller: str) -> Call:
    key = {}
    if caller == "owner":
        claims = erasure_key_claims(issuer=ISSUER, erasure_id=world.erasure, now=clock.now())
        key = {"Erasure-Key": world.stand.keys.sign("erasure-key+jwt", claims)}
    return Call(path={"erasure_id": world.erasure}, headers=key)


async def _step(world: World_, *_: Any) -> Call:
    path = {"erasure_id": world.erasure, "participant": "directory"}
    return Call(path=path, send={"json": _REASON})


async def _participant(world: World_, *_: Any) -> Call:
    partner = await world.thing("partner", world.a_partner)
    return Call(
        path={"participant": partner, "name": partner},
        send={"json": _REASON},
    )


async def _a_partner(world: World_, *_: Any) -> Call:
    return Call(path={"name": await world.thing("partner", world.a_partner)})


async def _new_partner(*_: Any) -> Call:
    name = f"p-{uuid4().hex[:10]}"
    return Call(send={"json": {"name": name, "contact": "rgpd@partenaire.example"}})


async def _person(world: World_, *_: Any) -> Call:
    return Call(path={"person_id": world.people["owner"]})


async def _archive(world: World_, *_: Any) -> Call:
    export_id, key = await world.thing("export", world.an_export, kept=True)
    return Call(path={"export_id": export_id}, headers={"Export-Key": key})


async def _version(*_: Any) -> Call:
    return Call(path={"version": NOTICE})


async def _plan(world: World_, *_: Any) -> Call:
    rule = (await world.thing("rules", world.rules, kept=True))[0]["id"]
    return Call(send={"params": {"rule": rule}})


async def _run(world: World_, *_: Any) -> Call:
    return Call(path={"run_id": await world.thing("run", world.a_run, kept=True)})


async def _new_run(world: World_, *_: Any) -> Call:
    rule = (await world.thing("rules", world.rules, kept=True))[0]["id"]
    return Call(send={"json": {"rule": rule}})


async def _form(*_: Any) -> Call:
    email = f"{uuid4().hex}@entreprise.example"
    return Call(send={"json": {"kind": "access", "email": email}})


async def _looked_at(*_: Any) -> Call:
    return Call(path={"token": uuid4().hex})


async def _link(*_: Any) -> Call:
    return Call(send={"json": {"token": uuid4().hex}})


async def _request(world: World_, *_: Any) -> Call:
    return Call(path={"request_id": world.request})


async def _own_request(*_: Any) -> Call:
    return Call(send={"json": {"kind": "restriction", "message": "Le temps de vérifier."}})


async def _letter(*_: Any) -> Call:
    body = {"kind": "rectification", "postal_address": "12 rue du Port, 76600 Le Havre"}
    return Call(send={"json": {**body, "received_on": clock.now().date().isoformat()}})


async def _handled(world: World_, row: Row, _: str) -> Call:
    words = {
        "doubt": {"reason": "Deux personnes portent ce nom."},
        "identity": {"how": "Pièce vue au guichet."},
        "extension": {"reasons": "Demande très nombreuse."},
        "answer": {"template": "done", "words": "C'est corrigé."},
        "refusal": {"reasons": "Cette donnée est exacte."},
    }
    what = row.path.rpartition("/")[2]
    request = await world.thing("request", world.a_request)
    return Call(path={"request_id": request}, send={"json": words[what]})


async def _consent(*_: Any) -> Call:
    return Call(send={"json": {"purpose": "audience", "notice_version": NOTICE}})


async def _withdrawal(world: World_, _: Row, caller: str) -> Call:
    if world.fresh:
        await world.agrees(caller)
    return Call(path={"purpose": "audience"})


async def _proof(world: World_, *_: Any) -> Call:
    return Call(path={"consent_id": world.consent})


async def _choice(world: World_, row: Row, _: str) -> Call:
    if row.method == "POST":
        return Call(send={"json": {"audience": True}})
    return Call(path={"choice_id": await world.thing("choice", world.a_choice, kept=True)})


_REQUEST = f"{API}/rights-requests/{{request_id}}"

PrivacyWorld.recipes = {
    f"GET {API}/erasures/{{erasure_id}}": _erasure,
    f"GET {API}/certificates/{{erasure_id}}": _erasure,
    f"POST {API}/erasures/{{erasure_id}}/steps/{{participant}}/waiver": _step,
    f"POST {API}/participants/{{participant}}/waiver": _participant,
    f"GET {API}/people/{{person_id}}/data": _person,
    f"GET {API}/me/exports/{{export_id}}/archive": _archive,
    f"GET {API}/notices/{{version}}": _version,
    f"GET {API}/notices/{{version}}/to-ask": _version,
    f"POST {API}/participants": _new_partner,
    f"POST {API}/participants/{{name}}/credentials": _a_partner,
    f"GET {API}/participants/{{name}}/missed": _a_partner,
    f"DELETE {API}/participants/{{name}}": _a_partner,
    f"GET {API}/retention/plan": _plan,
    f"GET {API}/retention/runs/{{run_id}}": _run,
    f"POST {API}/retention/runs": _new_run,
    f"POST {API}/retention/runs/{{run_id}}/confirmation": _run,
    f"POST {API}/rights-requests": _form,
    f"GET {API}/rights-requests/confirmations/{{token}}": _looked_at,
    f"POST {API}/rights-requests/confirmations": _link,
    f"GET {_REQUEST}": _request,
    f"POST {API}/me/rights-requests": _own_request,
    f"POST {API}/rights-requests/on-behalf": _letter,
    f"POST {_REQUEST}/doubt": _handled,
    f"POST {_REQUEST}/identity": _handled,
    f"POST {_REQUEST}/extension": _handled,
    f"POST {_REQUEST}/answer": _handled,
    f"POST {_REQUEST}/refusal": _handled,
    f"POST {API}/me/consents": _consent,
    f"DELETE {API}/me/consents/{{purpose}}": _withdrawal,
    f"GET {API}/me/consents/{{consent_id}}/proof": _proof,
    f"POST {API}/cookie-choices": _choice,
    f"GET {API}/cookie-choices/{{choice_id}}": _choice,
    f"DELETE {API}/cookie-choices/{{choice_id}}": _choice,
}
