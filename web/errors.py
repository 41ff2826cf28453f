"""What each error looks like: a page that says what happened and what to do."""

from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from web.forms import SAFE, ForeignRequestError, NoCookieError, StaleFormError, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.sessions import (
    LoginNeededError,
    clear_cookie,
    local_path,
    login_path,
    optional_person,
)

_PAGES = {403: "errors/403.html", 404: "errors/404.html", 410: "errors/404.html"}


def add_handlers(app: FastAPI) -> None:
    """Every error that is not a bug; bugs are shown by `unexpected`."""
    app.add_exception_handler(LoginNeededError, _login_needed)
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _not_an_address)
    app.add_exception_handler(ForeignRequestError, _foreign)
    app.add_exception_handler(NoCookieError, _no_cookie)
    app.add_exception_handler(StaleFormError, _stale)


async def unexpected(request: Request) -> Response:
    """A bug: nothing of it is told, but for the number under which it stands in the log."""
    return page(request, "errors/500.html", status=500)


def came_from(request: Request) -> str:
    """The page that holds the form that was sent."""
    before = urlsplit(request.headers.get("referer", ""))
    path = before.path + (f"?{before.query}" if before.query else "")
    return local_path(path or request.url.path)


async def _login_needed(request: Request, _error: Exception) -> Response:
    request.state.person = None
    if request.method in SAFE:
        answer: Response = to(login_path(request))
    else:
        suite = quote(came_from(request), safe="")
        answer = page(request, "errors/session_ended.html", status=401, suite=suite)
    clear_cookie(request, answer)
    return answer


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    if error.status == 401:
        return await _login_needed(request, error)
    if error.status >= 500:
        request.state.person = getattr(request.state, "person", None)
        return page(
            request, "errors/503.html", status=503, headers={"Retry-After": "10"}, refused=error
        )
    if error.status == 429:
        wait = str(error.retry_after or 60)
        return page(
            request, "errors/429.html", status=429, headers={"Retry-After": wait}, refused=error
        )
    template = _PAGES.get(error.status, "errors/refused.html")
    return page(request, template, status=error.status, refused=error)


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if request.url.path.startswith("/api/"):  # a program asks: the same error as everywhere
        problem = {"type": "urn:ccib:problem:not-found", "title": "Introuvable", "status": 404}
        return JSONResponse(problem, 404, media_type="application/problem+json")
    await _know_person(request)
    if error.status_code in {404, 405}:
        return page(request, "errors/404.html", status=404)
    return page(request, "errors/refused.html", status=error.status_code, refused=None)


async def _not_an_address(request: Request, _error: Exception) -> Response:
    return page(request, "errors/404.html", status=404)


async def _foreign(request: Request, _error: Exception) -> Response:
    return page(request, "errors/foreign.html", status=403)


async def _no_cookie(request: Request, _error: Exception) -> Response:
    return page(request, "errors/no_cookie.html", status=400, back=came_from(request))


async def _stale(request: Request, error: Exception) -> Response:
    if not isinstance(error, StaleFormError):
        raise error
    await _know_person(request)
    return page(
        request,
        "errors/stale.html",
        status=403,
        form=blank(),
        again=error.values,
        back=came_from(request),
    )


async def _know_person(request: Request) -> None:
    """For the menu of a page that no route made; without an answer, that of visitors."""
    try:
        await optional_person(request)
    except ApiError:
        request.state.person = None
