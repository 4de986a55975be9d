"""The session as a FastAPI dependency, for requests and websockets.

    @app.get("/")
    async def cart(session: SessionDependency) -> dict[str, Any]: ...

The application needs ``app.add_middleware(coatcheck.asgi.SessionMiddleware, ...)`` all the same.
"""

from __future__ import annotations

from typing import Annotated

try:
    from fastapi import Depends
    from fastapi.requests import HTTPConnection
except ModuleNotFoundError as error:
    if error.name != "fastapi":
        raise
    msg = "coatcheck.asgi.fastapi needs FastAPI: pip install 'coatcheck[fastapi]'"
    raise ModuleNotFoundError(msg, name="fastapi") from error

from coatcheck.asgi.session import ASGISession, load_session


async def get_session(connection: HTTPConnection) -> ASGISession:
    """The session, loaded: ``session: Annotated[ASGISession, Depends(get_session)]``."""
    return await load_session(connection)


SessionDependency = Annotated[ASGISession, Depends(get_session)]
"""The same, to be written as an annotation."""
