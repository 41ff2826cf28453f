"""What a person typed anywhere is shown to them live and stands in the copy that they take away."""

import io
import json
import zipfile

from deploy.local.layout import SERVICES
from tests.journeys import people
from tests.journeys.stack import Stack, eventually


def test_a_person_takes_away_what_five_services_hold(stack: Stack) -> None:
    community = people.a_community(stack)
    buyer, person = people.a_buyer(stack), people.a_member(stack)
    call = people.publishes(buyer, people.joins_with_a_company(buyer, community), community)
    people.tells_about_themself(person)
    company = people.joins_with_a_company(person, community)
    people.replies(person, company, call)

    view = person.call("GET", "privacy/me/data")
    assert view["complete"]
    assert {one["service"] for one in view["services"]} == set(SERVICES)
    shown = json.dumps(view, ensure_ascii=False)
    assert not {what for what, word in person.typed.items() if word not in shown}
    assert not {what for what, word in buyer.typed.items() if word in shown}

    asked = person.call("POST", "privacy/me/exports", expect=202)
    eventually(
        lambda: person.call("GET", "privacy/me/exports")[0]["state"] == "ready", "the copy is ready"
    )
    answer = person.can(
        "GET", f"privacy/me/exports/{asked['id']}/archive?key={asked['key']}", status=404
    )
    assert answer is not None, "a key stands in no address"
    answer = stack.http.get(
        f"/api/privacy/me/exports/{asked['id']}/archive",
        headers=person.headers | {"Export-Key": asked["key"]},
    )
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    for name in ("donnees.json", "donnees.html"):
        content = archive.read(name).decode()
        assert not {what for what, word in person.typed.items() if word not in content}
    held = json.loads(archive.read("donnees.json"))
    assert held["complet"]
    [photo] = held["fichiers"]
    assert archive.read(photo["chemin"])[8:12] == b"WEBP"
    mail = stack.mails(person.email, count=2)[-1]
    assert asked["key"] not in mail["text"]
    everything = stack.files("logs", "storage", "mail", "ledger")
    assert not [path for path, content in everything.items() if asked["key"].encode() in content]
    for path in (f"/internal/subjects/{person.account_id}", "/internal/addresses"):
        assert stack.http.get(path, headers=person.headers).status_code == 404


def test_an_erasure_takes_the_copy_along(stack: Stack) -> None:
    person = people.a_member(stack)
    asked = person.call("POST", "privacy/me/exports", expect=202)
    eventually(
        lambda: person.call("GET", "privacy/me/exports")[0]["state"] == "ready", "the copy is ready"
    )
    assert [path for path in stack.files("storage") if path.name == asked["id"]]
    farewell = person.delete_account()
    farewell.completed()
    assert not [path for path in stack.files("storage") if path.name == asked["id"]]
