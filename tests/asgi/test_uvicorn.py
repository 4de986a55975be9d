"""Starlette and FastAPI applications in two workers of uvicorn."""

from __future__ import annotations

from tests.web.promises import Promises
from tests.web.serving import UVICORN


class TestStarlette(Promises):
    """As it is written for Starlette's own middleware."""

    server = UVICORN
    factory = "tests.asgi.probe:starlette_app"


class TestFastAPI(Promises):
    """With the dependency."""

    server = UVICORN
    factory = "tests.asgi.probe:fastapi_app"
