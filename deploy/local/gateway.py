"""Traefik's configuration: which path goes where, and what never leaves the machine.

Services answer `/health`, `/metrics` and `/internal` at their root, outside `/api/<service>/`:
no route leads there. No dashboard, no version check, no telemetry, and no access log (addresses
and paths are personal data that nobody needs here).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_BODY_BYTES = 12_000_000
"""The largest file a service takes (10 MB), and what surrounds it in a form."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "",
}

# The API pages (Swagger UI, served by the services themselves) carry an inline script. Every other
# page says its own, stricter policy.
API_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def write_configuration(
    folder: Path, *, port: int, services: Mapping[str, str], landing: str
) -> Path:
    """Write both files; returns the one that Traefik is started with.

    `services` maps names to addresses (`http://127.0.0.1:1234`), `landing` is everything else's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    static, routes = folder / "traefik.yaml", folder / "routes.yaml"
    _write(
        static,
        {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "WARN"},
            "entryPoints": {
                "web": {
                    "address": f"127.0.0.1:{port}",
                    "transport": {"respondingTimeouts": {"readTimeout": "30s"}},
                }
            },
            "providers": {"file": {"filename": str(routes), "watch": False}},
        },
    )
    _write(routes, {"http": _routes(services=services, landing=landing)})
    return static


def _routes(*, services: Mapping[str, str], landing: str) -> dict[str, Any]:
    routers = {name: _router(name, f"PathPrefix(`/api/{name}/`)") for name in services}
    if "identity" in services:
        routers["well-known"] = _router("identity", "PathPrefix(`/.well-known/`)")
    routers["landing"] = _router("landing", "PathPrefix(`/`)")
    return {
        "routers": routers,
        "services": {
            name: {"loadBalancer": {"servers": [{"url": url}]}}
            for name, url in {**services, "landing": landing}.items()
        },
        "middlewares": {
            "headers": {"headers": {"customResponseHeaders": HEADERS}},
            "api-policy": {
                "headers": {"customResponseHeaders": {"Content-Security-Policy": API_POLICY}}
            },
            "limit": {"buffering": {"maxRequestBodyBytes": MAX_BODY_BYTES}},
        },
    }


def _router(service: str, rule: str) -> dict[str, Any]:
    return {
        "rule": rule,
        "service": service,
        "entryPoints": ["web"],
        "middlewares": ["headers", "limit", *(["api-policy"] if service != "landing" else [])],
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """JSON is YAML."""
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
