"""Being forgotten through the form that is open to anyone, by whoever controls the address (N4.1)."""

from tests.journeys import people
from tests.journeys.stack import Stack, eventually


def test_a_confirmed_erasure_ends_sessions_and_account_as_self_service_does(stack: Stack) -> None:
    member = people.a_member(stack)
    asked = stack.http.post(
        "/api/privacy/rights-requests", json={"kind": "erasure", "email": member.email}
    )
    assert asked.status_code == 202, asked.text
    assert member.call("GET", "identity/me")["state"] == "active"
    token = stack.token_mailed_to(member.email, count=2)
    confirmed = stack.http.post("/api/privacy/rights-requests/confirmations", json={"token": token})
    assert confirmed.status_code == 200, confirmed.text
    request = confirmed.json()

    def answered() -> bool:
        view = stack.http.get(
            f"/api/privacy/rights-requests/{request['request_id']}",
            headers={"Request-Key": request["key"]},
        )
        return bool(view.json()["state"] == "answered")

    eventually(answered, "the request is answered by the erasure")
    for path in ("identity/me", "directory/me/profile", "privacy/me/rights-requests"):
        assert member.can("GET", path, status=401), path
    refused = stack.http.post(
        "/api/identity/sessions", json={"email": member.email, "password": member.password}
    )
    assert refused.status_code == 401
