"""Whose certificates are believed by what calls others over HTTP."""

import ssl
from functools import cache

import httpx2


@cache
def authorities() -> ssl.SSLContext:
    """Those of the machine, read once: each client would read them again, for 50 ms of a processor."""
    return httpx2.create_ssl_context()
