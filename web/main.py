"""Entry point of the site: `uvicorn --factory web.main:create_app`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
from fastapi import Depends, FastAPI, Request
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse

from chassis import log, observing, tracing
from web import errors, forms, navigation, static
from web.edge import Edge
from web.headers import security_headers
from web.pages import (
    account,
    account_access,
    animating,
    assistance,
    buying,
    communities,
    companies,
    consultations,
    dashboard,
    directory,
    dpo,
    dpo_rights,
    home,
    joining,
    joining_company,
    leaving,
    own_data,
    privacy,
    profiles,
    replies,
    rights,
    subscriptions,
)
from web.runtime import Runtime, open_runtime, runtime_of
from web.sessions import optional_person
from web.settings import Settings

ROUTERS = (
    home.router,
    account_access.router,
    joining.router,
    dashboard.router,
    leaving.router,
    profiles.router,
    joining_company.router,
    companies.router,
    communities.router,
    directory.router,
    consultations.router,
    replies.router,
    buying.router,
    animating.router,
    dpo.router,
    dpo_rights.router,
    assistance.router,
    privacy.router,
    rights.router,
    account.router,
    own_data.router,
    subscriptions.router,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application, configured by the environment unless told otherwise."""
    told = settings or Settings.load()
    log.configure(service="web", json=told.log_format == "json")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tracing.begin("web", told)
        async with (
            observing.operations_port(told) as condition,
            open_runtime(told) as runtime,
            AsyncExitStack() as stack,
        ):
            if settings is None:  # a process of its own
                stack.enter_context(observing.noticing_the_end(condition))
            app.state.runtime = runtime
            condition.not_ready = lambda: _not_ready(runtime)
            condition.not_started = lambda: None
            yield
        tracing.end()

    app = FastAPI(title="CCI Business", openapi_url=None, lifespan=lifespan)
    app.include_router(static.router)
    _health(app)
    for router in ROUTERS:
        # In this order: who sends, then who is there. No page can forget to ask.
        app.include_router(router, dependencies=[Depends(forms.protect), Depends(optional_person)])
    app.state.pages = navigation.pages_of(app)
    errors.add_handlers(app)
    app.add_middleware(GZipMiddleware, minimum_size=500)
    app.add_middleware(
        Edge,
        headers=security_headers(https=told.public_url.startswith("https:")),
        unexpected=errors.unexpected,
    )
    return app


def _health(app: FastAPI) -> None:
    """On the site's own port; the gateway does not pass them on."""

    @app.get("/health/live", include_in_schema=False)
    async def live() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    @app.get("/health/ready", include_in_schema=False)
    async def ready(request: Request) -> PlainTextResponse:
        reason = await _not_ready(runtime_of(request))
        if reason:
            return PlainTextResponse(f"{reason}\n", status_code=503)
        return PlainTextResponse("ready\n")


async def _not_ready(runtime: Runtime) -> str | None:
    """The gateway answers, whatever it says: a page can tell that one service is away."""
    try:
        await runtime.http.get("/")
    except httpx2.HTTPError as error:
        return f"gateway: {type(error).__name__}"
    return None
