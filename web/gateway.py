"""The public interface, as one visitor or one person uses it. Nothing else is ever asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

TIMEOUT = httpx2.Timeout(10.0, connect=2.0)
LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=50)


class ApiError(Exception):
    """A refusal of the interface (RFC 9457). `slug` is for code, `title` and `detail` for people."""

    def __init__(
        self,
        *,
        status: int,
        slug: str,
        title: str,
        detail: str = "",
        errors: Mapping[str, str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{status} {slug}")
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.errors = dict(errors or {})
        """What is wrong by field; a field inside another one is `address.street`."""
        self.retry_after = retry_after
        """Seconds."""


class UnavailableError(ApiError):
    """No answer, or one that no program understands. Whether anything was done is not known."""

    def __init__(self) -> None:
        super().__init__(status=503, slug="unavailable", title="Service momentanément indisponible")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    data: Any
    """The JSON, or None."""
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Api:
    """The interface with what is known of who asks: `await api.get("directory/communities")`."""

    http: httpx2.AsyncClient
    headers: Mapping[str, str] = field(default_factory=dict)

    def bearing(self, token: str) -> "Api":
        """The same, as the person of that token."""
        return replace(self, headers={**self.headers, "Authorization": f"Bearer {token}"})

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of a reading; empty parameters are left out."""
        given = {name: value for name, value in params.items() if value not in (None, "", [])}
        return (await self.send("GET", path, params=given or None)).data

    async def post(self, path: str, json: Any = None, *, key: str = "") -> Answer:
        """`key`: the idempotency key of the form, for what must not be done twice."""
        return await self.send("POST", path, json=json, headers=_idempotency(key))

    async def put(self, path: str, json: Any = None) -> Answer:
        return await self.send("PUT", path, json=json)

    async def patch(self, path: str, json: Any = None) -> Answer:
        return await self.send("PATCH", path, json=json)

    async def delete(self, path: str, json: Any = None) -> Answer:
        return await self.send("DELETE", path, json=json)

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **how: Any
    ) -> Answer:
        """Raises `ApiError` for a refusal, `UnavailableError` when there is no answer."""
        if how.get("json") is None:
            how.pop("json", None)
        try:
            answer = await self.http.request(
                method, f"/api/{path}", headers={**self.headers, **(headers or {})}, **how
            )
        except httpx2.HTTPError as error:
            raise UnavailableError from error
        if not answer.is_success:
            raise _refusal(answer)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return Answer(
            status=answer.status_code,
            data=answer.json() if is_json and answer.content else None,
            headers=answer.headers,
            content=answer.content,
        )


def _idempotency(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _refusal(answer: httpx2.Response) -> ApiError:
    try:
        problem = answer.json()
        return ApiError(
            status=answer.status_code,
            slug=str(problem["type"]).rpartition(":")[2],
            title=str(problem["title"]),
            detail=str(problem.get("detail") or ""),
            errors={
                ".".join(part for part in one["pointer"].split("/")[1:] if part != "body"): str(
                    one["detail"]
                )
                for one in reversed(problem.get("errors") or [])  # the first of a field counts
            },
            retry_after=_seconds(answer.headers.get("retry-after", "")),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return UnavailableError()  # of the gateway itself, while a service is away


def _seconds(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
