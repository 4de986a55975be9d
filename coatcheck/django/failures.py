"""What a request is answered whose session cannot be loaded or saved."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from django.http import HttpResponse
from django.template import TemplateDoesNotExist, loader

from coatcheck.errors import CoatcheckError, SessionConflict, StoreUnavailable
from coatcheck.web.answer import RETRY_AFTER

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

    from coatcheck.django.sessions import SessionStore

_PAGES: Final = {
    503: "<!doctype html><title>Service Unavailable</title><h1>Service Unavailable</h1>"
    "<p>The server cannot answer right now. Please try again in a moment.</p>",
    409: "<!doctype html><title>Conflict</title><h1>Conflict</h1>"
    "<p>This was changed by another request in the meantime. Please go back and try again.</p>",
}

_log = logging.getLogger("coatcheck.django")


def is_answered(session: SessionStore, response: HttpResponseBase) -> bool:
    """Whether this response is Django's to an error of the store that no view has raised, such as a middleware's."""
    return response.status_code == 500 and isinstance(session.failure, StoreUnavailable)


def answer_to(
    request: HttpRequest, error: CoatcheckError | None, instead_of: HttpResponseBase | None, *, or_raise: bool = True
) -> HttpResponseBase | None:
    """503 for a store that cannot be asked, 409 for a conflict; the cookie stays as it is.

    Everything else is raised, or answered with None where it is raised already.
    """
    if isinstance(error, StoreUnavailable):
        status = 503
        _log.error("no session for %s: %s", request.path, error)
    elif isinstance(error, SessionConflict):
        status = 409
    elif or_raise and error is not None:
        raise error
    else:
        return None
    answer = HttpResponse(_page(request, status), status=status)
    if instead_of is not None:
        # Closed together with the answer: closing it now would tell Django that the request is over.
        answer._resource_closers.extend(instead_of._resource_closers)  # noqa: SLF001
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _page(request: HttpRequest, status: int) -> str:
    """The project's own template, as for Django's other errors; without the request, whose session is what failed."""
    try:
        text: str = loader.render_to_string(f"{status}.html", {"request_path": request.path})
    except TemplateDoesNotExist:
        return _PAGES[status]
    return text
