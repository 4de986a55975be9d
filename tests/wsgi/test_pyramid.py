"""A Pyramid application, as docs/wsgi.md has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coatcheck import connect
from coatcheck.wsgi import SessionMiddleware
from tests.wsgi.test_middleware import visit


@pytest.mark.filterwarnings("ignore")  # of what Pyramid imports
def test_a_session_in_pyramid(home: Path) -> None:
    """It counts visits, and its page of 404 is no failure."""
    # No extra brings it: it needs a part of setuptools that is going to be removed.
    pytest.importorskip("pyramid.config", exc_type=ImportError)
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPNotFound

    def page(request: Any) -> Any:
        return {"visits": request.environ["coatcheck.session"].increment("visits")}

    def missing(request: Any) -> Any:
        request.environ["coatcheck.session"].increment("visits")
        raise HTTPNotFound

    with connect(home) as client, Configurator() as config:
        config.add_route("page", "/")
        config.add_view(page, route_name="page", renderer="json")
        config.add_route("missing", "/missing")
        config.add_view(missing, route_name="missing")
        pyramid = config.make_wsgi_app()

        first = visit(SessionMiddleware(pyramid, client=client))
        assert (first.status, first.body) == ("200 OK", b'{"visits": 1}')
        assert visit(SessionMiddleware(pyramid, client=client), first.token, PATH_INFO="/missing").status[:3] == "404"
        assert visit(SessionMiddleware(pyramid, client=client), first.token).body == b'{"visits": 3}'
