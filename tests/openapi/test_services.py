"""Requests that nobody thought of, made from each service's own OpenAPI by schemathesis."""

import asyncio
import os
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import events, from_schema

from tests.openapi.conftest import Headers
from tests.stand import Stand

MORE = int(os.environ.get("CCIB_OPENAPI_EXAMPLES", "0"))
"""Random examples for each route and caller, for who has time; every caller tries everything then."""

CHASSIS = r"/(dead-letters|parked-events|rehearsals|operator-actions)"
"""Routes that are the same in every service: tried in one of them."""

_REFUSALS = [400, 401, 403, 404, 406, 409, 410, 412, 413, 415, 422, 428, 429, 503]
_CHECKS: dict[str, Any] = {
    "negative_data_rejection": {"expected-statuses": _REFUSALS},
    # What is right by the schema may be wrong by a rule: a SIRET has check digits, a draft a company.
    "positive_data_acceptance": {"enabled": False},
    # For sequences of calls, which are not tried here: tests/matrix does, with known owners.
    "use_after_free": {"enabled": False},
    "ensure_resource_availability": {"enabled": False},
    "object_level_authorization": {"enabled": False},
}
# The last part of these is an id as well, by another route: GET answers that it is none (422), not 405.
_AMBIGUOUS: dict[str, Any] = {
    "include-path-regex": r"/dead-letters/(collect|replay|drop)$|/rights-requests/(on-behalf|confirm"
    r"ations)$",
    "checks": {
        "unsupported_method": {"enabled": False},
        "allow_header_conformance": {"enabled": False},
    },
}


def _config(url: str, headers: Headers, *, thorough: bool) -> schemathesis.Config:
    return schemathesis.Config.from_dict(
        {
            "seed": 1,
            "base-url": url,
            "headers": headers,
            "continue-on-failure": True,
            "request-timeout": 60,
            # Sends everything twice more: a few requests of each kind show it as well as many.
            "checks": {**_CHECKS, "ignored_auth": {"enabled": not thorough or MORE > 0}},
            "operations": [_AMBIGUOUS],
            "generation": {
                "max-examples": MORE or 1,
                "deterministic": not MORE,
                "database": "none",
                "no-shrink": not MORE,
            },
            "phases": {
                "examples": {"enabled": False},
                "coverage": {"enabled": thorough or MORE > 0},
                "fuzzing": {"enabled": not thorough or MORE > 0},
                "stateful": {"enabled": False},
            },
        }
    )


def _open_to_visitors(context: schemathesis.HookContext) -> bool:
    """Whether the interface says that no token is necessary."""
    return {} in context.operation.definition.raw.get("security", [{}])


def _tried(url: str, name: str, headers: Headers, *, thorough: bool) -> list[str]:
    """Everything that is wrong, with the request that shows it."""
    schema = schemathesis.openapi.from_url(
        f"{url}/api/{name}/openapi.json", config=_config(url, headers, thorough=thorough)
    )
    if headers:  # signing out would end the session of everything that follows
        schema = schema.exclude(method="DELETE", path="/api/identity/sessions/current")
    if name != "consultations" and not MORE:
        schema = schema.exclude(path_regex=CHASSIS)
    if not headers and not MORE:  # elsewhere a visitor gets 401 whatever is sent: see tests/matrix
        schema = schema.include(_open_to_visitors)
    found: dict[str, str] = {}
    sent = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            raise event.value
        if not isinstance(event, events.ScenarioFinished):
            continue
        sent += len(event.recorder.interactions)
        for case_id, checks in event.recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    request = event.recorder.interactions[case_id].request
                    found.setdefault(
                        f"{event.recorder.label}: {check.name}",
                        f"{failure.title} {failure.message}\n  {request.method} {request.uri}\n"
                        f"  {request.body!r}",
                    )
    assert sent, "no request was made"
    return [f"{where}\n  {what}" for where, what in found.items()]


# The service runs in this process: it draws random numbers of its own while a request is made up.
@pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("caller", ["visitor", "member", "everything"])
async def test_a_service_answers_any_request_as_it_says(
    stand: Stand, url: str, callers: dict[str, Headers], caller: str
) -> None:
    wrong = await asyncio.to_thread(
        _tried,
        url,
        stand.runtime.service.name,
        callers[caller],
        thorough=caller == "everything",
    )
    assert not wrong, "\n\n".join(wrong)
