"""Forms that only our own pages can send: a token of the visit, and what the browser says about where it comes from."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.requests import Request

    from coatcheck.admin.dashboard.visits import Visit

FIELD: Final = "csrf"
"""The name of the hidden field."""

_LARGEST: Final = 16_384
_FORM: Final = "application/x-www-form-urlencoded"


class Refused(HTTPException):
    """A form that did not come from our own page."""

    def __init__(self, why: str) -> None:
        super().__init__(403, f"This form is refused: {why}. Open the page anew and try again.")


async def form_of(request: Request, visit: Visit | None) -> Mapping[str, str]:
    """The fields of a form that our own page has sent. Raises Refused; HTTPException for what is no form.

    ``visit``: its token has to be in the form; None: before the login, where there is none yet.
    """
    _check_origin(request)
    fields = await _fields(request)
    if visit is not None and not hmac.compare_digest(fields.get(FIELD, "").encode(), visit.csrf.encode()):
        msg = "it does not carry the token of this visit"
        raise Refused(msg)
    return fields


def _check_origin(request: Request) -> None:
    """What the browser says by itself, which a page cannot change (ASVS 3.5.1)."""
    site = request.headers.get("sec-fetch-site")
    if site not in {None, "same-origin"}:
        msg = f"your browser says that it comes from another site ({site[:20]})"
        raise Refused(msg)
    origin = request.headers.get("origin")
    # A browser that says neither is old enough for the token, and SameSite=Strict, to be what counts.
    if origin is not None and _netloc(origin) != request.headers.get("host"):
        msg = "it comes from another origin"
        raise Refused(msg)


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


async def _fields(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HTTPException(415, "Only forms are taken here.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise HTTPException(413, "That form is too large.")
    try:
        return dict(
            parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=100)
        )
    except ValueError:
        raise HTTPException(400, "That form cannot be read.") from None
