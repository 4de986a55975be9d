"""Metrics and probes: the numbers of all processes on one page."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import coatcheck
from coatcheck.admin.metrics import asgi_app, render, wsgi_app
from coatcheck.changes import Set
from coatcheck.errors import StoreUnavailable
from coatcheck.settings import Settings
from coatcheck.store.lmdb import LmdbStore

WORKER = """
import sys
import coatcheck

with coatcheck.connect(sys.argv[1]) as client:
    token, _ = client.create({}, principal="private-name")
    for _ in range(10):
        client.load(token)
"""


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """Every sample of a page by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_the_numbers_of_all_processes(home: Path) -> None:
    """What several workers have counted is one number each, and the store's own are beside them."""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", WORKER, str(home)], check=True, timeout=60)
    store = LmdbStore(Settings(home=home))

    page = render(store)

    found = samples(page)
    store.close()
    assert found["coatcheck_operations_total", "load"] == 30
    assert found["coatcheck_operations_total", "create"] == 3
    assert found["coatcheck_sessions",] == 3
    assert found["coatcheck_audit_events_written_total", "life"] == 3
    assert found["coatcheck_up",] == 1
    assert found["coatcheck_info", coatcheck.__version__] == 1
    assert b"private-name" not in page


def test_what_went_wrong_is_counted(home: Path) -> None:
    """Absent sessions by reason, ends by kind, conflicts and limits; what never happened is 0, and there."""
    client = coatcheck.connect(home, max_session_bytes=1000)
    token, _ = client.create({"a": 1})
    with pytest.raises(coatcheck.SessionConflict):
        client.save(token, [Set("a", 2)], if_version=7)
    with pytest.raises(coatcheck.SessionTooLarge):
        client.save(token, [Set("a", "x" * 2000)])
    client.delete(token)
    client.load(token)
    client.load("A" * 54)
    assert isinstance(client.store, LmdbStore)
    client.store._meter.flush()

    found = samples(render(client.store))

    client.close()
    assert found["coatcheck_conflicts_total",] == 1
    assert found["coatcheck_limits_hit_total", "max_session_bytes"] == 1
    assert found["coatcheck_limits_hit_total", "room"] == 0
    assert found["coatcheck_ended_total", "deleted"] == 1
    assert found["coatcheck_absent_total", "deleted"] == 1
    assert found["coatcheck_absent_total", "forged"] == 1
    assert found["coatcheck_processes",] == 1


def test_a_store_that_cannot_be_asked(store: LmdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counters go on, and ``coatcheck_up`` says why the rest is missing; readiness is refused, health is not."""
    store.create({})
    store._meter.flush()

    def unavailable(*_: Any) -> None:
        msg = "a secret path"
        raise StoreUnavailable(msg)

    with monkeypatch.context() as patch:
        patch.setattr(store, "stats", unavailable)
        patch.setattr(store, "check_ready", unavailable)
        found = samples(render(store))
        answers = {path: ask_wsgi(store, path) for path in ("/healthz", "/readyz")}

    assert found["coatcheck_up",] == 0
    assert found["coatcheck_operations_total", "create"] == 1
    assert answers["/healthz"] == ("200 OK", b'{"alive": true}')
    assert answers["/readyz"] == ("503 Service Unavailable", b'{"ready": false, "problem": "StoreUnavailable"}')


def ask_wsgi(store: LmdbStore, path: str, method: str = "GET") -> tuple[str, bytes]:
    """Status and body that the WSGI application answers with."""
    seen: list[str] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    body = b"".join(wsgi_app(store)(environ, lambda status, _: seen.append(status)))
    return seen[0], body


def ask_asgi(store: LmdbStore, path: str) -> tuple[int, bytes]:
    """The same of the ASGI application."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path}
    asyncio.run(asgi_app(store)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("under", ["", "/ops"])
def test_the_three_pages(store: LmdbStore, under: str) -> None:
    """Served or mounted, by either kind of server."""
    assert ask_wsgi(store, f"{under}/readyz") == ("200 OK", b'{"ready": true, "problem": null}')
    assert ask_asgi(store, f"{under}/readyz")[0] == 200
    assert ask_asgi(store, f"{under}/healthz") == (200, b'{"alive": true}')
    assert samples(ask_asgi(store, f"{under}/metrics")[1])["coatcheck_up",] == 1
    assert ask_wsgi(store, f"{under}/else")[0] == "404 Not Found"
    assert ask_wsgi(store, f"{under}/metrics", "POST")[0] == "405 Method Not Allowed"
    assert ask_wsgi(store, f"{under}/metrics", "HEAD") == ("200 OK", b"")


def test_readiness_writes_nothing(store: LmdbStore) -> None:
    """A load balancer that asks each second leaves no trace in the store."""
    store.create({})
    before = store.environment.last_transaction()

    for _ in range(5):
        store.check_ready()

    assert store.environment.last_transaction() == before
