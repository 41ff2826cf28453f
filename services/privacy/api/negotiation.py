"""Which of the offered media types the caller wants (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from services.privacy.errors import NotAcceptableError

_EXACT, _RANGE, _ANY = 2, 1, 0


def negotiate(accept: str | None, *offered: str) -> str:
    """The best offer, the first of equals. Raises `NotAcceptableError` when none is acceptable."""
    if accept is None or not accept.strip():
        return offered[0]
    wanted = [_parsed(part) for part in accept.split(",") if part.strip()]
    weights = [_weight(offer, wanted) for offer in offered]
    best = max(weights)
    if best <= 0:
        raise NotAcceptableError(f"Proposés : {', '.join(offered)}.")
    return offered[weights.index(best)]


def _weight(offer: str, wanted: Sequence[tuple[str, float]]) -> float:
    """The q of the most specific range that matches, 0 when none does."""
    kind = offer.partition("/")[0]
    found = [
        (specificity, q)
        for name, q in wanted
        for specificity, pattern in ((_EXACT, offer), (_RANGE, f"{kind}/*"), (_ANY, "*/*"))
        if name == pattern
    ]
    return max(found)[1] if found else 0.0


def _parsed(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                q = float(value)
            except ValueError:
                return name, 0.0
            return name, q if 0 <= q <= 1 else 0.0
    return name, 1.0
