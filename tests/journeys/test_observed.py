"""What operators are shown of a journey: one trace, and nobody's words."""

import json
import secrets
from pathlib import Path

import httpx2

from tests.collector import Seen
from tests.journeys import people
from tests.journeys.stack import Stack, eventually
from tests.journeys.test_nothing_left import found, observed

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


def told_to_operators(stack: Stack) -> dict[str, str]:
    """Everything that processes print, answer at their operations ports, and send as traces."""
    printed = {
        str(path): content.decode("utf-8", "replace")
        for path, content in stack.files("logs").items()
    }
    printed["run.log"] = Path(stack.layout.root / "run.log").read_text(encoding="utf-8")
    return printed | observed(stack)


def test_one_trace_leads_from_a_request_to_another_services_sql(stack: Stack) -> None:
    person = people.a_member(stack)
    person.delete_account().completed()

    def whole() -> list[Seen] | None:
        """The trace of the request to be forgotten, once its last part has arrived."""
        spans = list(stack.traces.spans)
        for start in spans:
            if start.service != "identity" or start.kind != SERVER:
                continue
            trace = [one for one in spans if one.trace_id == start.trace_id]
            kinds = {(one.service, one.kind) for one in trace}
            if {("identity", PRODUCER), ("privacy", CONSUMER), ("privacy", CLIENT)} <= kinds:
                return trace
        return None

    trace = eventually(whole, "a trace from identity to the SQL of privacy")
    by_id = {one.id: one for one in trace}
    [handled, *_] = [one for one in trace if (one.service, one.kind) == ("privacy", CONSUMER)]
    sql = [one for one in trace if one.parent == handled.id and one.kind == CLIENT]
    assert sql
    assert all(one.attributes["db.system"] == "postgresql" for one in sql)
    assert by_id[handled.parent].service == "identity"
    assert by_id[handled.parent].kind == SERVER


def test_no_visitor_chooses_the_trace_of_a_request(stack: Stack) -> None:
    theirs, known = secrets.token_hex(16), len(stack.traces.spans)
    for path in ("/", "/api/directory/communities", "/.well-known/jwks.json"):
        stack.http.get(path, headers={"traceparent": f"00-{theirs}-{secrets.token_hex(8)}-01"})
    eventually(lambda: len(stack.traces.spans) > known, "the requests are traced")
    assert theirs not in {one.trace_id for one in stack.traces.spans}


def test_what_people_type_is_in_no_log_no_metric_and_no_trace(stack: Stack) -> None:
    community = people.a_community(stack)
    buyer, person = people.a_buyer(stack), people.a_member(stack)
    people.tells_about_themself(person)
    call = people.publishes(buyer, people.joins_with_a_company(buyer, community), community)
    people.replies(person, people.joins_with_a_company(person, community), call)
    # Refused, too long, twice, and with a character that PostgreSQL refuses in the statement itself.
    canary = person.type("a refused text", f"canari-{person.account_id[-12:]}")
    wrong = {"email": f"{canary}@entreprise.example", "password": canary}
    stack.http.post("/api/identity/sessions", json=wrong)
    stack.http.post("/api/identity/accounts", json={**wrong, "notice_version": canary})
    stack.http.get(f"/api/directory/companies/{canary}", params={"q": canary})
    stack.http.get("/api/directory/companies", params={"q": f"{canary}\x00"})
    stack.http.get("/connexion", params={"next": canary}, headers={"X-Request-Id": canary})
    stack.http.get(f"/nulle-part/{canary}", headers={"traceparent": canary, "User-Agent": canary})
    stack.http.request(canary.upper(), "/api/identity/me")

    # The positive control: each medium is really read.
    def heard() -> bool:
        shown = told_to_operators(stack)
        media = found(shown, "/api/directory/companies")
        return (
            "traces" in media
            and "metrics of directory" in media
            and any(name.endswith("directory.log") for name in media)
        )

    eventually(heard, "logs, metrics and traces tell of the request")
    assert any(person.account_id in text for text in told_to_operators(stack).values()), "the actor"
    person.delete_account().completed()
    shown = told_to_operators(stack)
    assert not {
        (what, place) for what, word in person.typed.items() for place in found(shown, word)
    }
    assert canary.upper() not in json.dumps(shown)


def test_every_line_of_a_service_is_json_that_says_who_speaks(stack: Stack) -> None:
    for service, url in stack.described["services"].items():
        httpx2.get(f"{url}/api/{service}/nowhere")
        lines = (stack.layout.logs / f"{service}.log").read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in lines]
        assert {one["service"] for one in told} == {service}
        requests = [one for one in told if one["event"] == "request"]
        assert requests
        assert all(one["request_id"] and one["trace_id"] for one in requests)
