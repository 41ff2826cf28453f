"""What this machine says about a local stack: processes, disks, keys."""

import json
import os
import shutil

import httpx2

from cli.doctor.findings import Finding, attention, broken
from cli.doctor.sources import Sources

_LITTLE, _LESS = 2_000_000_000, 500_000_000


def processes(sources: Sources) -> list[Finding]:
    """Processes of the stack's description that are gone."""
    return [
        broken(
            name,
            f"its process {pid} is gone",
            "`make run` starts it again within seconds; if it does not, start the stack again",
        )
        for name, pids in sources.pids.items()
        for pid in pids
        if not _lives(pid)
    ]


def disks(sources: Sources) -> list[Finding]:
    """Data folders with little space left; folders on one disk are told once."""
    found: dict[int, Finding] = {}
    for folder in sources.folders:
        try:
            device, free = folder.stat().st_dev, shutil.disk_usage(folder).free
        except OSError as error:
            found[hash(folder)] = attention(
                "machine", f"{folder} cannot be read ({error.strerror})", "give the folder back"
            )
            continue
        if free < _LITTLE:
            weight = broken if free < _LESS else attention
            found[device] = weight(
                "machine",
                f"{free / 1e9:.1f} GB are left for {folder}",
                "free disk space: databases and the broker stop when it is full",
            )
    return list(found.values())


async def keys(client: httpx2.AsyncClient, sources: Sources) -> list[Finding]:
    """Whether certificates are signed with the key that others were told to trust."""
    if sources.trust is None:
        return []
    trusted = sources.trust / "certificates.jwks.json"
    try:
        answer = await client.get(f"{sources.gateway}/api/privacy/certificates-keys")
        answer.raise_for_status()
        used = {(key["x"], key["y"]) for key in answer.json()["keys"]}
    except (httpx2.HTTPError, ValueError, KeyError):
        return []  # said about privacy or the gateway already
    try:
        known = {
            (key["x"], key["y"]) for key in json.loads(trusted.read_text(encoding="utf-8"))["keys"]
        }
    except (OSError, ValueError, KeyError) as error:
        return [
            attention(
                "privacy",
                f"{trusted} cannot be read ({type(error).__name__})",
                "give the public keys of certificates back: nobody can verify one without them",
            )
        ]
    if not used <= known:
        return [
            broken(
                "privacy",
                f"it signs certificates with a key that is not in {trusted}",
                "deploy the right key, or publish the new one: certificates do not verify",
            )
        ]
    return []


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
