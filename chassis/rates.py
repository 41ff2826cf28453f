"""Requests as Prometheus counts them: rate, errors and duration, by the template of the route.

Never by the path, which may hold an id or a token, and of which there is no end.
"""

from prometheus_client import Counter, Histogram

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_requests = Counter(
    "ccib_http_requests",
    "Requests answered; status 0: the caller went away first",
    ["service", "method", "route", "status"],
)
_seconds = Histogram(
    "ccib_http_request_duration_seconds",
    "From the first byte of a request to the end of its answer",
    ["service", "method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def answered(service: str, *, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request. A method of somebody's own invention is one of `other`."""
    known = method if method in _METHODS else "other"
    _requests.labels(service, known, route, str(status)).inc()
    _seconds.labels(service, known, route).observe(seconds)
