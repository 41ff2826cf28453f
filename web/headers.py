"""What every answer says about how it may be used."""

from collections.abc import Mapping

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing evaluated, nothing from elsewhere."""

NEVER_STORED = "no-store"
IMMUTABLE = "public, max-age=31536000, immutable"

_YEAR_S = 31_536_000


def security_headers(*, https: bool) -> Mapping[str, str]:
    """The same for pages, errors and files."""
    told = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if https:
        told["Strict-Transport-Security"] = f"max-age={_YEAR_S}; includeSubDomains"
    return told
