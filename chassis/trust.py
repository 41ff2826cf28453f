"""Whose certificates are believed by what calls others over HTTP."""

import ssl
from functools import cache
from pathlib import Path

import httpx2


@cache
def authorities() -> ssl.SSLContext:
    """Those of the machine, read once: each client would read them again, for 50 ms of a processor."""
    return httpx2.create_ssl_context()


def only(ca_file: Path | None) -> ssl.SSLContext:
    """That authority and no other, where there is one: the machine's would vouch for strangers too."""
    return authorities() if ca_file is None else ssl.create_default_context(cafile=ca_file)
