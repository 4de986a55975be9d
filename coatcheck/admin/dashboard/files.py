"""The files in static/: a fixed set, read once, so that no path leads anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.responses import PlainTextResponse, Response

_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Files:
    """All files of a folder that have a type known here."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): (path.read_bytes(), _KINDS[path.suffix])
            for path in folder.rglob("*")
            if path.suffix in _KINDS
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        response: Response = PlainTextResponse("There is no such file.\n", 404)
        if scope["method"] not in {"GET", "HEAD"}:
            response = PlainTextResponse("Files can only be read.\n", 405, {"Allow": "GET, HEAD"})
        elif name in self._files:
            content, kind = self._files[name]
            # Pages name a file with a digest of its content, so it never changes under its name.
            response = Response(
                content, headers={"cache-control": "public, max-age=31536000, immutable"}, media_type=kind
            )
        await response(scope, receive, send)
