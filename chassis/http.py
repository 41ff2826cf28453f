"""The HTTP application of a service: request ids, limits, problem+json, health, documentation."""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import iter_route_contexts
from fastapi_offline import FastAPIOffline
from obstore.exceptions import BaseError
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import tracing
from chassis.errors import (
    InvalidInputError,
    MalformedError,
    NotFoundError,
    ProblemError,
    TooLargeError,
    UnavailableError,
)
from chassis.ids import new_id
from chassis.rates import answered

log = structlog.get_logger()

PROBLEM = "application/problem+json"
TYPE_BASE = "urn:ccib:problem:"


class Input(BaseModel):
    """Base of request bodies: an unknown field is refused, outer white space is not content."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Output(BaseModel):
    """Base of answers, read from rows or given as keywords."""

    model_config = ConfigDict(from_attributes=True)


class FieldError(BaseModel):
    """One wrong field: a JSON pointer and what is wrong, in French."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457). `type` is stable; `title` and `detail` are for people, in French."""

    type: str
    title: str
    status: int
    detail: str | None = None
    request_id: str | None = None
    errors: list[FieldError] | None = None


_FRENCH = {
    "missing": "Ce champ est obligatoire.",
    "extra_forbidden": "Ce champ n'existe pas.",
    "string_too_short": "Trop court : {min_length} caractères au moins.",
    "string_too_long": "Trop long : {max_length} caractères au plus.",
    "too_short": "Trop peu d'éléments : {min_length} au moins.",
    "too_long": "Trop d'éléments : {max_length} au plus.",
    "string_type": "Un texte est attendu.",
    "string_pattern_mismatch": "Le format n'est pas le bon.",
    "int_parsing": "Un nombre entier est attendu.",
    "int_type": "Un nombre entier est attendu.",
    "bool_parsing": "Vrai ou faux est attendu.",
    "uuid_parsing": "Un identifiant (UUID) est attendu.",
    "uuid_type": "Un identifiant (UUID) est attendu.",
    "datetime_parsing": "Une date et une heure (RFC 3339) sont attendues.",
    "datetime_from_date_parsing": "Une date et une heure (RFC 3339) sont attendues.",
    "timezone_aware": "Le fuseau horaire manque.",
    "enum": "Valeur inconnue ; attendu : {expected}.",
    "literal_error": "Valeur inconnue ; attendu : {expected}.",
    "greater_than_equal": "Trop petit : {ge} au moins.",
    "less_than_equal": "Trop grand : {le} au plus.",
    "model_attributes_type": "Un objet est attendu.",
    "dict_type": "Un objet est attendu.",
    "list_type": "Une liste est attendue.",
}


def build_app(
    *, name: str, description: str, max_body_bytes: int, described: bool, **options: Any
) -> FastAPI:
    """A FastAPI application with what every service answers in the same way.

    `described`: it also serves its OpenAPI document, and pages to read and try it.
    """
    make = FastAPI
    if described:
        make = FastAPIOffline  # type: ignore[assignment]  # a function that makes one
        options |= {
            "docs_url": f"/api/{name}/docs",
            "redoc_url": None,
            "static_url": f"/api/{name}/docs-assets",
            "openapi_url": f"/api/{name}/openapi.json",
            "swagger_ui_oauth2_redirect_url": f"/api/{name}/docs/oauth2-redirect",
        }
    else:
        options["openapi_url"] = None
    app = make(
        title=f"CCI Business - {name}",
        description=description,
        version="1.0",
        responses={"default": {"model": Problem, "description": "Problem (RFC 9457)"}},
        **options,
    )
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(PoolTimeoutError, _busy)
    app.add_exception_handler(Exception, _unexpected)
    app.add_middleware(Edge, service=name, max_body_bytes=max_body_bytes)
    _health(app)
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """Say in the OpenAPI document which media type problems have: FastAPI takes all models for JSON."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        schema = describe()
        for operations in schema.get("paths", {}).values() if fresh else ():
            for operation in operations.values():
                content = operation["responses"]["default"]["content"]
                content[PROBLEM] = content.pop("application/json")
        return schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's way to extend it


def _health(app: FastAPI) -> None:
    @app.get("/health/live", include_in_schema=False)
    async def live() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    @app.get("/health/ready", include_in_schema=False)
    async def ready(request: Request) -> PlainTextResponse:
        reason = await request.app.state.runtime.not_ready()
        if reason:
            return PlainTextResponse(f"{reason}\n", status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ready\n")


class Edge:
    """Outermost middleware: a request id, a body limit, one log line per request without content."""

    def __init__(self, app: ASGIApp, *, service: str, max_body_bytes: int) -> None:
        self.app = app
        self.service = service
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        parent = tracing.parent_in(scope["headers"])
        with tracing.span("request", "request", parent=parent) as span:
            await self._answer(scope, receive, send, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, span: tracing.Span) -> None:
        request_id = str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        limit = self.max_body_bytes
        for prefix, larger in getattr(scope["app"].state, "body_limits", {}).items():
            if scope["path"].startswith(prefix):
                limit = larger
        method = scope["method"]
        try:
            await self.app(scope, _limited(scope, receive, limit), answer)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", "unmatched")
            span.ended(path, http__route=path, http__response__status_code=status)
            if not path.startswith("/health"):
                took = time.perf_counter() - started
                answered(self.service, method=method, route=path, status=status, seconds=took)
                log.info(
                    "request",
                    method=method,
                    route=path,
                    status=status,
                    milliseconds=round(took * 1000, 1),
                )


def _limited(scope: Scope, receive: Receive, limit: int) -> Receive:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    too_large = declared.isdigit() and int(declared) > limit
    received = 0

    async def read() -> Message:
        nonlocal received
        if too_large:
            raise TooLargeError(f"La limite est de {limit} octets.", max_bytes=limit)
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise TooLargeError(f"La limite est de {limit} octets.", max_bytes=limit)
        return message

    return read


def problem_response(request: Request, error: ProblemError) -> JSONResponse:
    """The problem document of an error."""
    problem = {
        "type": TYPE_BASE + error.slug,
        "title": error.title,
        "status": int(error.status),
        "request_id": request.scope.get("state", {}).get("request_id"),
        **error.extra,
    }
    if error.detail:
        problem["detail"] = error.detail
    headers = dict(error.headers)
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    return JSONResponse(problem, status_code=int(error.status), media_type=PROBLEM, headers=headers)


Handler = Callable[[Request, Any], Awaitable[Response]]


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return problem_response(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return problem_response(request, MalformedError("Le corps n'est pas du JSON valable."))
    fields = [
        {
            "pointer": "/" + "/".join(str(part) for part in item["loc"]),
            "detail": _french(item["type"], item.get("ctx", {})),
        }
        for item in error.errors()
    ]
    return problem_response(
        request, InvalidInputError("Certains champs sont à corriger.", errors=fields)
    )


def _french(kind: str, context: dict[str, Any]) -> str:
    if kind == "value_error":
        return str(context.get("error", "Valeur incorrecte."))
    try:
        return _FRENCH.get(kind, "Valeur incorrecte.").format(**context)
    except KeyError:
        return "Valeur incorrecte."


class _MethodNotAllowedError(ProblemError):
    slug = "method-not-allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED
    title = "Méthode non autorisée"


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, StarletteHTTPException):
        raise error
    if isinstance(error.__cause__, ProblemError):  # FastAPI wraps what reading the body raises
        return problem_response(request, error.__cause__)
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return problem_response(request, NotFoundError())
        case HTTPStatus.METHOD_NOT_ALLOWED:
            answer = problem_response(request, _MethodNotAllowedError())
            answer.headers["Allow"] = _allowed(request)
            return answer
        case _:
            return problem_response(request, MalformedError())


def _allowed(request: Request) -> str:
    """The methods of this path (RFC 9110, section 15.5.6): of all its routes, not of the first."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex.match(request.scope["path"]):
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


async def _database(request: Request, error: Exception) -> Response:
    state = str(getattr(getattr(error, "orig", None), "sqlstate", "") or "")
    if state.startswith("22"):  # data exceptions, for instance a NUL character in a text
        return problem_response(
            request, InvalidInputError("Une valeur contient des caractères refusés.")
        )
    log.error("database_error", sqlstate=state or None, exc_info=error)
    if getattr(error, "connection_invalidated", False) or state[:2] in ("", "08", "40", "53", "57"):
        return await _busy(request, error)
    return problem_response(request, ProblemError())


async def _busy(request: Request, _: Exception) -> Response:
    return problem_response(
        request, UnavailableError("Réessayez dans quelques secondes.", retry_after=2)
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    # A server that is not there (asyncpg raises it bare), or a storage without room.
    if isinstance(error, OSError | BaseError):
        log.error("dependency_unreachable", exc_info=error)
        return await _busy(request, error)
    log.error("unexpected_error", exc_info=error)
    return problem_response(request, ProblemError("L'incident est enregistré."))
