"""From signing up to the certificate, through the gateway and the mailbox (N1, N3.2, N4.1)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from tests.journeys import people
from tests.journeys.people import Farewell
from tests.journeys.stack import Stack, eventually


@pytest.fixture(scope="module")
def gone(stack: Stack) -> Farewell:
    """Somebody who joined, took part, and was forgotten."""
    community = people.a_community(stack)
    buyer, member = people.a_buyer(stack), people.a_member(stack)
    call = people.publishes(buyer, people.joins_with_a_company(buyer, community), community)
    people.tells_about_themself(member)
    company = people.joins_with_a_company(member, community)
    people.replies(member, company, call)
    assert member.call("GET", "privacy/me/consents")
    eventually(
        lambda: member.call("GET", "notifications/me/subscriptions"), "the newsletter came with it"
    )
    farewell = member.delete_account()
    assert farewell.state()["state"] in ("open", "completed")
    assert member.can("GET", "identity/me", status=401)
    farewell.completed()
    for path in ("directory/me/profile", "notifications/me/inbox", "privacy/me/consents"):
        assert member.can("GET", path, status=401), path  # the token is valid for minutes yet
    return farewell


def ccib_verify(path: Path, stack: Stack) -> subprocess.CompletedProcess[str]:
    """What the operator's command says about a certificate, with the keys that were deployed."""
    return subprocess.run(
        [
            Path(sys.executable).with_name("ccib"),
            "verify",
            path,
            "--keys",
            stack.layout.trust / "certificates.jwks.json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_participant_has_proven_its_part_the_partner_system_too(
    stack: Stack, gone: Farewell
) -> None:
    state = gone.state()
    outcomes = {step["participant"]: step["outcome"] for step in state["steps"]}
    assert outcomes == dict.fromkeys(stack.described["services"], "erased") | {
        "demo": "erased",
        "privacy": "kept_under_hold",
    }
    assert all(step["acknowledged_at"] for step in state["steps"])


def test_the_certificate_says_what_was_erased_what_stays_and_why(gone: Farewell) -> None:
    certificate = gone.certificate()["certificate"]
    tables = {
        (one["name"], table): counts
        for one in certificate["participants"]
        for table, counts in (one["tables"] or {}).items()
    }
    erased = {name for name, counts in tables.items() if counts["deleted"] or counts["detached"]}
    assert erased >= {
        ("identity", "account"),
        ("directory", "profile"),
        ("directory", "photo"),
        ("directory", "company"),
        ("directory", "membership"),
        ("consultations", "reply"),
        ("notifications", "subscription"),
        ("privacy", "consent"),
    }
    assert {kept["rule"] for kept in certificate["kept"]} == {"erasure-proof", "last-message"}
    assert all(kept["source"] and kept["until"] for kept in certificate["kept"])
    assert gone.email not in json.dumps(certificate)


def test_the_person_is_told_once_with_the_certificate_and_their_address_is_destroyed(
    stack: Stack, gone: Farewell
) -> None:
    proof = gone.certificate()["jws"][:40]

    def told() -> list[str]:
        every = [mail["raw"] for mail in stack.mails(gone.email)]
        return [raw for raw in every if proof in raw or "certificat" in raw]

    assert len(eventually(told, "the last message")) == 1
    eventually(
        lambda: stack.value("privacy", "SELECT count(*) FROM last_message") == 0,
        "the sealed address is destroyed",
    )


def test_nobody_follows_an_erasure_without_its_key(stack: Stack, gone: Farewell) -> None:
    path = f"/api/privacy/erasures/{gone.erasure_id}"
    assert stack.http.get(path).status_code == 401
    other = people.a_member(stack)
    assert other.can("GET", path.removeprefix("/api/"), status=404)
    forged = gone.key[:-6] + ("AAAAAA" if not gone.key.endswith("AAAAAA") else "BBBBBB")
    assert stack.http.get(path, headers={"Erasure-Key": forged}).status_code == 404


def test_a_certificate_verifies_offline_and_not_when_signed_again_or_altered(
    stack: Stack, gone: Farewell, tmp_path: Path
) -> None:
    certificate = gone.certificate()
    genuine, forged, altered = (tmp_path / name for name in ("genuine", "forged", "altered"))
    genuine.write_text(json.dumps(certificate))
    keys = KeySet.import_key_set(
        json.loads((stack.layout.trust / "certificates.jwks.json").read_text())
    )
    signed = jws.deserialize_compact(certificate["jws"], keys, ["ES256"])
    assert json.loads(signed.payload) == certificate["certificate"]

    foreign = ECKey.generate_key("P-256")
    again = jws.serialize_compact(signed.headers(), signed.payload, foreign, ["ES256"])
    with pytest.raises(JoseError):
        jws.deserialize_compact(again, keys, ["ES256"])
    forged.write_text(json.dumps(certificate | {"jws": again}))
    kinder = certificate["certificate"] | {"completed_at": "2020-01-01T00:00:00+00:00"}
    altered.write_text(json.dumps(certificate | {"certificate": kinder}))

    assert ccib_verify(genuine, stack).returncode == 0
    assert ccib_verify(forged, stack).returncode == 1
    assert ccib_verify(altered, stack).returncode == 1


def test_the_address_is_free_again_for_somebody_new(stack: Stack, gone: Farewell) -> None:
    before = len(stack.mails(gone.email))
    answer = stack.http.post(
        "/api/identity/accounts",
        json={
            "email": gone.email,
            "password": people.PASSWORD,
            "notice_version": stack.http.get("/api/privacy/notice").json()["version"],
        },
    )
    assert answer.status_code == 202
    token = stack.token_mailed_to(gone.email, count=before + 1)
    assert token
    back = people.Person(stack, gone.email)
    back.call("POST", "identity/accounts/verify", expect=204, json={"token": token})
    back.sign_in()
    assert back.can("GET", "directory/me/profile", status=404)
