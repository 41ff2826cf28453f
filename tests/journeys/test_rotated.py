"""Keys are replaced on the running platform, at once, as after a theft."""

import json
import os
import signal
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from deploy.local import keys
from tests.journeys import people
from tests.journeys.people import Farewell
from tests.journeys.stack import Stack, eventually
from tests.journeys.test_killed import back
from tests.journeys.test_leaving import ccib_verify


def restarted(stack: Stack, *services: str) -> None:
    """Ended in good order; the supervisor starts them again."""
    pids = {name: stack.pid(name) for name in services}
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    back(stack, pids)


def another(path: Path) -> ec.EllipticCurvePrivateKey:
    """Put another private key there."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(keys._private_pem(key))
    path.chmod(0o600)
    return key


def leaves(stack: Stack) -> Farewell:
    return people.a_member(stack).delete_account()


def test_services_ask_for_another_token_when_theirs_is_refused(stack: Stack) -> None:
    leaves(stack).completed()  # privacy has a token now, which the old key has signed
    tokens = stack.layout.secrets / "identity" / "tokens"
    for old in tokens.glob("*.pem"):
        old.unlink()
    another(tokens / "replaced.pem")
    restarted(stack, "identity")
    leaves(stack).completed(seconds=15)  # sooner than the old token would have ended


def test_a_service_with_another_key_proves_nothing_until_privacy_knows_it(stack: Stack) -> None:
    key = another(stack.layout.secrets / "directory" / "evidence.pem")
    restarted(stack, "directory")
    farewell = leaves(stack)
    eventually(
        lambda: sum(bool(step["outcome"]) for step in farewell.state()["steps"]) == 5,
        "the others have answered",
    )
    [open_step] = [one for one in farewell.state()["steps"] if not one["outcome"]]
    assert open_step["participant"] == "directory"
    (stack.layout.trust / "evidence" / "directory.pem").write_bytes(keys._public_pem(key))
    restarted(stack, "privacy")
    farewell.completed(seconds=40)


def test_certificates_of_the_old_key_stay_valid_beside_those_of_the_new_one(
    stack: Stack, tmp_path: Path
) -> None:
    before = leaves(stack)
    before.completed()
    held = before.certificate()
    published = stack.layout.trust / "certificates.jwks.json"
    known = json.loads(published.read_text())["keys"]
    public = keys._public_jwk(another(stack.layout.secrets / "privacy" / "certificates.pem"))
    published.write_text(json.dumps({"keys": [*known, public]}))  # the old one stays
    restarted(stack, "privacy")
    after = leaves(stack)
    after.completed()
    assert before.certificate() == held
    for certificate in (held, after.certificate()):
        path = tmp_path / "certificate.json"
        path.write_text(json.dumps(certificate))
        done = ccib_verify(path, stack)
        assert done.returncode == 0, done.stdout + done.stderr
