"""Slowing down who asks too often without an account; kept in memory, for an hour at most.

Limits count per process: with several replicas somebody may get as many times more through.
"""

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from fastapi import Request
from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from services.privacy.errors import TooManyRequestsFromHereError

RIGHTS_PER_HOUR = 10
COOKIE_CHOICES_PER_HOUR = 60
_IPV6_CLIENT_BITS = 64
"""What one subscriber is given at least."""


def client_of(request: Request) -> str:
    """Who asks, as the gateway saw it: the last address of the chain is the one it wrote itself."""
    chain = request.headers.get("x-forwarded-for", "")
    last = chain.rpartition(",")[2].strip() or (request.client.host if request.client else "")
    try:
        address = ip_address(last)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_CLIENT_BITS), strict=False))
    return str(address)


def at_most(per_hour: int, *, what: str) -> Callable[..., Any]:
    """A dependency that lets a client in so often within an hour."""
    limit = RateLimitItemPerHour(per_hour, namespace=what)

    async def dependency(request: Request) -> None:
        state = request.app.state
        if not hasattr(state, "client_limiter"):
            state.client_limiter = FixedWindowRateLimiter(MemoryStorage())
        if not state.client_limiter.hit(limit, client_of(request)):
            raise TooManyRequestsFromHereError(
                f"Au plus {per_hour} par heure : revenez plus tard.", retry_after=3600
            )

    return dependency
