"""The gateway itself, with stand-ins behind it that say which path they were asked for."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from deploy.local import gateway, processes
from deploy.local.children import base_environment
from deploy.local.supervisor import Child, Supervisor


@dataclass
class Entrance:
    browser: httpx2.AsyncClient
    site: str
    """The door of the site."""

    async def answer(self, path: str) -> str:
        """Who answered, and for which path."""
        return (await self.browser.get(path)).text


async def echo(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    chain = re.search(r"(?im)^x-forwarded-for: (.*?)\r?$", request)
    body = f"{name} {request.split()[1]}".encode()
    if "traced" in request.split()[1]:
        body = " ".join(re.findall(r"(?im)^(traceparent|tracestate|baggage):", request)).encode()
    if "forwarded" in request.split()[1]:
        body = chain[1].encode() if chain else b"nobody"
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nServer: secret/1.0\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
async def entrance(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Entrance]:
    folder = tmp_path_factory.mktemp("gate way")
    names = ("identity", "privacy", "web")
    ports = dict(zip((*names, "gateway", "site"), processes.free_ports(5), strict=True))
    backends = [
        await asyncio.start_server(
            lambda reader, writer, name=name: echo(name, reader, writer), "127.0.0.1", ports[name]
        )
        for name in names
    ]
    configuration = gateway.write_configuration(
        folder,
        port=ports["gateway"],
        site_port=ports["site"],
        services={name: f"http://127.0.0.1:{ports[name]}" for name in ("identity", "privacy")},
        web=f"http://127.0.0.1:{ports['web']}",
    )
    traefik = Child(
        name="gateway",
        command=[Path(sys.executable).with_name("traefik"), f"--configfile={configuration}"],
        environment=base_environment(),
        log=folder / "log",
    )
    supervisor = Supervisor(owner=folder, folder=folder, say=print)
    supervisor.start([traefik])
    base = f"http://127.0.0.1:{ports['gateway']}"
    try:
        async with httpx2.AsyncClient(base_url=base) as browser:
            await until_it_answers(browser)
            yield Entrance(browser, site=f"http://127.0.0.1:{ports['site']}")
    finally:
        supervisor.stop()
        for backend in backends:
            backend.close()


async def until_it_answers(browser: httpx2.AsyncClient) -> None:
    for _ in range(300):
        with contextlib.suppress(httpx2.HTTPError):
            if (await browser.get("/")).status_code == 200:
                return
        await asyncio.sleep(0.1)
    raise AssertionError("the gateway never answered")


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/", "web"),
        ("/static/style.css", "web"),
        ("/api/identity", "web"),
        ("/api/identityx/me", "web"),
        ("/api/identity/me", "identity"),
        ("/api/privacy/erasures/1?x=2", "privacy"),
        ("/.well-known/jwks.json", "identity"),
    ],
)
async def test_each_path_goes_to_its_owner_unchanged(
    entrance: Entrance, path: str, who: str
) -> None:
    assert await entrance.answer(path) == f"{who} {path}"


@pytest.mark.parametrize(
    "path",
    [
        "/health/ready",
        "/metrics",
        "/internal/addresses",
        "/api/identity/../../metrics",
        "/api/identity/%2e%2e/%2e%2e/internal/addresses",
    ],
)
async def test_what_is_inside_stays_inside(entrance: Entrance, path: str) -> None:
    answer = await entrance.browser.get(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


async def test_the_site_alone_is_believed_about_addresses(entrance: Entrance) -> None:
    told = {"X-Forwarded-For": "198.51.100.7"}
    asked = await entrance.browser.get("/api/privacy/forwarded", headers=told)
    assert asked.text == "127.0.0.1"
    async with httpx2.AsyncClient(base_url=entrance.site) as site:
        assert (await site.get("/api/privacy/forwarded", headers=told)).text == "198.51.100.7"
        # No page of its own, and nothing that is inside.
        for path in ("/", "/internal/addresses", "/health/ready"):
            assert (await site.get(path)).status_code == 404


async def test_a_visitor_chooses_no_trace_and_the_site_goes_on_with_its_own(
    entrance: Entrance,
) -> None:
    told = {
        "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01",
        "TraceState": "vendor=1",
        "baggage": "person=1",
    }
    for path in ("/traced", "/api/privacy/traced", "/.well-known/traced"):
        assert not (await entrance.browser.get(path, headers=told)).text
    async with httpx2.AsyncClient(base_url=entrance.site) as site:
        answer = await site.get("/api/privacy/traced", headers=told)
    assert {one.lower() for one in answer.text.split()} == {one.lower() for one in told}


async def test_a_body_that_is_too_large_never_reaches_a_service(entrance: Entrance) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", entrance.browser.base_url.port)
    writer.write(
        b"POST /api/identity/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        % (gateway.MAX_BODY_BYTES + 1)
    )
    assert (await reader.readline()).split()[1] == b"413"
    writer.close()
    await writer.wait_closed()


async def test_answers_carry_the_headers_that_protect_people(entrance: Entrance) -> None:
    headers = (await entrance.browser.get("/api/identity/me")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers
    # Pages say their own policy.
    assert "content-security-policy" not in (await entrance.browser.get("/")).headers
