"""Entry point of the API: `uvicorn --factory services.directory.main:create_app`."""

from fastapi import FastAPI

from chassis import service
from services.directory.wiring import SERVICE


def create_app() -> FastAPI:
    """The application, configured by the environment."""
    return service.create_app(SERVICE)
