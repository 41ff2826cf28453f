"""People of the journeys: what they do, through the gateway and their mailbox only."""

import io
import random
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
from PIL import Image

from chassis import clock
from deploy.demo.identifiers import siret
from tests.journeys.stack import Stack, eventually

PASSWORD = "Sept-Péniches-Bleues-42"


@dataclass
class Person:
    """Somebody with an account, signed in."""

    stack: Stack
    email: str
    password: str = PASSWORD
    account_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)
    """Every unique text they typed, by what it was."""

    def call(self, method: str, path: str, *, expect: int = 200, **more: Any) -> Any:
        """A request; fails unless it is answered with that status."""
        headers = {**self.headers, **more.pop("headers", {})}
        answer = self.stack.http.request(method, f"/api/{path}", headers=headers, **more)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def can(
        self, method: str, path: str, *, status: int = 200, **more: Any
    ) -> httpx2.Response | None:
        """The answer once it has that status: facts travel between services."""
        answer = self.stack.http.request(method, f"/api/{path}", headers=self.headers, **more)
        return answer if answer.status_code == status else None

    def sign_in(self) -> None:
        pair = self.call(
            "POST",
            "identity/sessions",
            expect=201,
            json={"email": self.email, "password": self.password},
        )
        self.headers = {"Authorization": f"Bearer {pair['access_token']}"}
        self.account_id = self.call("GET", "identity/me")["account_id"]

    def type(self, what: str, text: str) -> str:
        """Remember a text as theirs."""
        self.typed[what] = text
        return text

    def delete_account(self) -> "Farewell":
        answer = self.call("DELETE", "identity/me", expect=202, json={"password": self.password})
        return Farewell(self.stack, answer["erasure_id"], answer["key"], self.email)


@dataclass(frozen=True)
class Farewell:
    """What is left to somebody who asked to be forgotten: an id and a key."""

    stack: Stack
    erasure_id: str
    key: str
    email: str

    def ask(self, path: str, **more: str) -> httpx2.Response:
        return self.stack.http.get(
            f"/api/privacy/{path}/{self.erasure_id}", headers={"Erasure-Key": self.key, **more}
        )

    def state(self) -> dict[str, Any]:
        answer = self.ask("erasures")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def completed(self, *, seconds: float = 30) -> dict[str, Any]:
        """Its last state, once every participant has proven its part."""

        def done() -> dict[str, Any] | None:
            try:
                found = self.state()
            except (httpx2.HTTPError, AssertionError):  # a process is being replaced
                return None
            return found if found["state"] == "completed" else None

        return eventually(done, f"erasure {self.erasure_id} completed", seconds=seconds)

    def certificate(self) -> dict[str, Any]:
        answer = self.ask("certificates")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def a_stranger(stack: Stack) -> Person:
    """Somebody who has just signed up."""
    word = f"zq{secrets.token_hex(8)}"
    person = Person(stack, f"{word}.adresse@entreprise.example")
    person.type("e-mail", person.email)
    person.call(
        "POST",
        "identity/accounts",
        expect=202,
        json={
            "email": person.email,
            "password": person.password,
            "notice_version": stack.http.get("/api/privacy/notice").json()["version"],
        },
    )
    return person


def a_member(stack: Stack) -> Person:
    """Somebody whose address is confirmed, signed in."""
    person = a_stranger(stack)
    token = stack.token_mailed_to(person.email)
    person.call("POST", "identity/accounts/verify", expect=204, json={"token": token})
    person.sign_in()
    return person


def an_official(stack: Stack, role: str) -> Person:
    """One of the demo accounts: operator, DPO, buyer, animator, agent."""
    person = Person(stack, **stack.account(role))
    person.sign_in()
    return person


def a_buyer(stack: Stack) -> Person:
    """A member whom an operator made a buyer."""
    person = a_member(stack)
    an_official(stack, "operator").call(
        "PUT", "identity/roles", expect=204, json={"email": person.email, "roles": ["buyer"]}
    )
    person.sign_in()
    return person


def tells_about_themself(person: Person) -> None:
    """Every field of the profile, and a photo."""
    word = secrets.token_hex(8)
    person.call(
        "PUT",
        "directory/me/profile",
        json={
            "last_name": person.type("last name", f"Nom {word}"),
            "first_name": person.type("first name", f"Prénom {word}"),
            "job_title": person.type("job", f"Fonction {word}"),
            "phone": person.type("phone", f"+3363998{secrets.randbelow(10_000):04}"),
            "about": person.type("about", f"À propos {word}"),
            "skills": [person.type("skill", f"Compétence {word}")],
        },
    )
    person.call(
        "PUT",
        "directory/me/photo",
        expect=204,
        content=a_picture(),
        headers={"Content-Type": "image/png"},
    )


def a_picture() -> bytes:
    """A picture like no other."""
    drawn = io.BytesIO()
    Image.frombytes("RGB", (64, 64), secrets.token_bytes(64 * 64 * 3)).save(drawn, "PNG")
    return drawn.getvalue()


def lists_a_company(person: Person) -> str:
    """Every field of a sheet; returns its id."""
    word = secrets.token_hex(8)
    number = siret(random.Random(), index=secrets.randbelow(9_000_000), seed=7)
    made = person.call(
        "POST",
        "directory/companies",
        expect=201,
        json={
            "siret": person.type("SIRET", number),
            "name": person.type("company", f"Société {word}"),
            "sole_trader": True,
            "address": {
                "street": person.type("street", f"1 rue {word}"),
                "postcode": "76000",
                "commune_code": "76540",
            },
            "phone": "+33235301234",
            "email": person.type("company e-mail", f"{word}@societe.example"),
            "website": person.type("website", f"https://{word}.example/"),
            "social": [person.type("network", f"https://reseau.example/{word}")],
            "activity": person.type("activity", f"Activité {word}"),
        },
    )
    return str(made["id"])


def a_community(stack: Stack) -> str:
    """The id of a community that anybody may join."""
    operator = an_official(stack, "operator")
    made = operator.call(
        "POST",
        "directory/communities",
        expect=201,
        json={
            "slug": f"essai-{secrets.token_hex(4)}",
            "name": "Communauté d'essai",
            "cci": "cci-normandie",
            "open_joining": True,
        },
    )
    return str(made["id"])


def joins(person: Person, company_id: str, community_id: str) -> dict[str, Any]:
    """Asks to belong to a community, questionnaire included."""
    answer = person.type("questionnaire", f"Réponse {secrets.token_hex(8)}")
    joined: dict[str, Any] = person.call(
        "POST",
        f"directory/communities/{community_id}/memberships",
        expect=201,
        json={"company_id": company_id, "answers": {"motif": answer}},
    )
    return joined


def joins_with_a_company(person: Person, community_id: str) -> str:
    """A member of a community, for a company; returns the company's id."""
    company_id = lists_a_company(person)
    assert joins(person, company_id, community_id)["state"] == "active"
    return company_id


def publishes(person: Person, company_id: str, community_id: str) -> str:
    """A consultation with the buyer's own contact; returns its id."""
    word = secrets.token_hex(8)
    content = {
        "company_id": company_id,
        "title": "Vannes en inox",
        "description": "Deux cents vannes à bille.",
        "kind": "sourcing",
        "communities": [community_id],
        "closes_at": (clock.now() + timedelta(days=10)).isoformat(),
        "contact": {
            "name": person.type("contact", f"Contact {word}"),
            "email": person.type("contact e-mail", f"{word}@contact.example"),
            "phone": person.type("contact phone", f"+3363998{secrets.randbelow(10_000):04}"),
        },
    }
    # That the person acts for the company travels from one service to the other.
    answer = eventually(
        lambda: person.can("POST", "consultations/consultations", status=201, json=content),
        "the buyer may write for the company",
    )
    made = answer.json()
    person.call("POST", f"consultations/consultations/{made['id']}/publication")
    return str(made["id"])


def replies(person: Person, company_id: str, consultation_id: str) -> None:
    """Answers a consultation once it can be seen."""
    word = secrets.token_hex(8)
    path = f"consultations/consultations/{consultation_id}"
    eventually(lambda: person.can("GET", path), "the consultation is visible")
    person.call(
        "POST",
        f"{path}/replies",
        expect=201,
        json={
            "company_id": company_id,
            "message": person.type("message", f"Réponse {word}"),
            "contact": {"name": person.type("reply contact", f"Interlocuteur {word}")},
        },
    )
