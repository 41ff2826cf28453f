"""Traefik's configuration: which path goes where, and what never leaves the machine.

Services answer `/health`, `/metrics` and `/internal` at their root, outside `/api/<service>/`:
no route leads there. Two doors: people's, where what a caller says of its address is not believed,
and the site's own, where it is: limits count the visitor, not the site. No dashboard, no version check, no telemetry, and no access log (addresses
and paths are personal data that nobody needs here).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MAX_BODY_BYTES = 12_000_000
"""The largest file a service takes (10 MB), and what surrounds it in a form."""

INSIDE = ("/health", "/metrics", "/internal")
"""What the site, too, answers to who runs it alone."""

TRACING = ("traceparent", "tracestate", "baggage")
"""What a visitor may not say: a trace begins behind people's door, with an id of ours."""

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
    folder: Path,
    *,
    port: int,
    site_port: int,
    services: Mapping[str, str],
    web: str,
    host: str = "127.0.0.1",
    installed: Path | None = None,
) -> Path:
    """Write both files; returns the one that Traefik is started with.

    `services` maps names to addresses (`http://127.0.0.1:1234`), `web` is everything else's, the site; its own
    door is `site_port`, which nobody else may reach. `host`: where both doors listen. `installed`: the
    folder in which Traefik will find the files, when it is another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    static, routes = folder / "traefik.yaml", folder / "routes.yaml"
    _write(
        static,
        {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "WARN"},
            "entryPoints": {
                # Every route of this door, also one that is written tomorrow.
                "public": _door(host, port) | {"http": {"middlewares": ["untraced@file"]}},
                # The chain it brings is the visitor's, and stays as it is.
                "site": _door(host, site_port)
                | {"forwardedHeaders": {"insecure": True, "notAppendXForwardedFor": True}},
            },
            "providers": {
                "file": {"filename": str((installed or folder) / routes.name), "watch": False}
            },
        },
    )
    _write(routes, {"http": _routes(services=services, web=web)})
    return static


def _door(host: str, port: int) -> dict[str, Any]:
    return {
        "address": f"{host}:{port}",
        "transport": {"respondingTimeouts": {"readTimeout": "30s"}},
    }


def _routes(*, services: Mapping[str, str], web: str) -> dict[str, Any]:
    routers = {
        name: _router(name, f"PathPrefix(`/api/{name}/`)", doors=["public", "site"])
        for name in services
    }
    if "identity" in services:
        routers["well-known"] = _router("identity", "PathPrefix(`/.well-known/`)")
    inside = " && ".join(f"!PathPrefix(`{path}`)" for path in INSIDE)
    # The longest rule would come first.
    routers["web"] = _router("web", f"PathPrefix(`/`) && {inside}") | {"priority": 1}
    return {
        "routers": routers,
        "services": {
            name: {"loadBalancer": {"servers": [{"url": url}]}}
            for name, url in {**services, "web": web}.items()
        },
        "middlewares": {
            "headers": {"headers": {"customResponseHeaders": HEADERS}},
            "api-policy": {
                "headers": {"customResponseHeaders": {"Content-Security-Policy": API_POLICY}}
            },
            # An empty value takes the header away.
            "untraced": {"headers": {"customRequestHeaders": dict.fromkeys(TRACING, "")}},
            "limit": {"buffering": {"maxRequestBodyBytes": MAX_BODY_BYTES}},
        },
    }


def _router(service: str, rule: str, doors: Sequence[str] = ("public",)) -> dict[str, Any]:
    """The site says its own headers."""
    return {
        "rule": rule,
        "service": service,
        "entryPoints": list(doors),
        "middlewares": ["limit", *([] if service == "web" else ["headers", "api-policy"])],
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """JSON is YAML."""
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
