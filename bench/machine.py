"""On what the figures were measured."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx2

from chassis import clock

_LIBRARIES = (
    "aio-pika", "aiormq", "asyncpg", "fastapi", "pydantic", "sqlalchemy", "sqlmodel", "starlette",
    "uvicorn", "uvloop",
)  # fmt: skip
_SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class UnsafeError(Exception):
    """The servers keep their promises only while the power is on: figures would mean nothing."""


async def described(servers: SimpleNamespace) -> dict[str, Any]:
    """Machine, versions and revision. Raises `UnsafeError` when the database may lose commits."""
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        found = {
            name: await connection.fetchval("SELECT current_setting($1)", name)
            for name in (*_SAFE, "server_version")
        }
    finally:
        await connection.close()
    if unsafe := {name: found[name] for name, value in _SAFE.items() if found[name] != value}:
        raise UnsafeError(str(unsafe))
    async with httpx2.AsyncClient(base_url=servers.management_url, timeout=30) as client:
        broker = (await client.get("/api/overview")).raise_for_status().json()
    return {
        "date": clock.now().isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "cpu": _value(Path("/proc/cpuinfo"), "model name") or platform.processor(),
            "cores": os.cpu_count(),
            "memory": _value(Path("/proc/meminfo"), "MemTotal"),
            "kernel": platform.release(),
            "load_before": [round(one, 2) for one in os.getloadavg()],
        },
        "versions": {
            "python": platform.python_version(),
            "postgresql": found["server_version"],
            "rabbitmq": broker["rabbitmq_version"],
            "erlang": broker["erlang_version"],
            **{name: version(name) for name in _LIBRARIES},
        },
        "durability": {name: found[name] for name in _SAFE},
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _value(file: Path, key: str) -> str:
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
