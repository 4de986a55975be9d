"""Prometheus metrics of a state directory: the counters of all its processes, and what its store and actors are like.

Nothing is counted for it on the way of a request: what is shown is put together when somebody asks, from the numbers
that every process writes down once a second (``coatcheck.metering``). It works from any one process, and needs no
multiprocess mode of prometheus-client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import coatcheck
from coatcheck.admin.events import RINGS
from coatcheck.errors import CoatcheckError
from coatcheck.metering import Tally, read

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.exposition import generate_latest
except ImportError as error:
    msg = f"metrics need prometheus-client ({error}): pip install 'coatcheck[admin]'"
    raise ImportError(msg) from error

if TYPE_CHECKING:
    from coatcheck.store.contract import StoreStats
    from coatcheck.store.lmdb import LmdbStore

_VERBS: Final = ("create", "load", "save", "touch", "rotate", "login", "flash", "take")
_ENDS: Final = ("deleted", "revoked", "evicted", "expired")
_REASONS: Final = ("forged", "unknown", "expired", "deleted", "revoked", "retired")
_LIMITS: Final = ("max_session_bytes", "max_flashes", "max_sessions_per_principal", "room")
_OUTCOMES: Final = ("ended", "dropped", "outage", "unreadable")
_TOLD: Final = ("sent", "refused", "unanswered", "expired", "dropped")

COUNTERS: Final = (
    ("coatcheck_operations", "Verbs that were carried out, by verb.", "verb", "store.", _VERBS),
    ("coatcheck_absent", "Tokens that led to no session, by reason.", "reason", "store.absent_", _REASONS),
    ("coatcheck_ended", "Sessions that a verb has ended, by how.", "how", "store.", _ENDS),
    ("coatcheck_limits_hit", "What limits have refused or dropped, by limit.", "limit", "store.limit_", _LIMITS),
    ("coatcheck_requests", "Requests whose session fared ill, by outcome.", "outcome", "session.", _OUTCOMES),
    ("coatcheck_told", "Messages told to the manager, by what became of them.", "outcome", "told.", _TOLD),
)
"""Name (without ``_total``), help, label, beginning of the counter, and the values that are there from the start."""

PLAIN_COUNTERS: Final = (
    ("coatcheck_swept_sessions", "Expired sessions that were removed.", "store.swept"),
    ("coatcheck_conflicts", "Saves that found another version than they were to.", "store.conflict"),
)

GAUGES: Final = (
    ("coatcheck_sessions", "Sessions in the store, expired ones that wait for the sweep included.", "sessions"),
    ("coatcheck_principals", "Sessions that are listed for a principal.", "principals"),
    ("coatcheck_tokens", "Tokens that are known, those of ended sessions included.", "tokens"),
    ("coatcheck_sweep_due_entries", "Expired entries that wait for the sweep, counted up to 10000.", "due"),
    ("coatcheck_sweep_lag_seconds", "How long the oldest of them has waited.", "oldest_due"),
    ("coatcheck_store_used_bytes", "Bytes of the pages in use.", "used_bytes"),
    ("coatcheck_store_map_bytes", "The most bytes the store may have.", "map_bytes"),
    ("coatcheck_store_file_bytes", "Size of the data file.", "file_bytes"),
    ("coatcheck_store_readers", "Read transactions that are open, over all processes.", "readers"),
    ("coatcheck_audit_events", "Audit events that the rings hold.", "audit_events"),
)


class CoatcheckCollector:
    """What Prometheus is told of one store; for a registry of prometheus-client, the default one or another."""

    def __init__(self, store: LmdbStore) -> None:
        """``store``: any open client's ``store``, on the direct lane."""
        self._store = store

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering opens no store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics. A store that cannot be asked is ``coatcheck_up 0``, and the counters go on."""
        info = GaugeMetricFamily("coatcheck_info", "The version of coatcheck that answers.", labels=["version"])
        info.add_metric([coatcheck.__version__], 1)
        yield info
        yield from _counters(read(self._store.settings.home))
        try:
            stats, written = self._store.stats(), {name: self._store.last_event(key) for name, key in RINGS.items()}
        except (CoatcheckError, OSError):
            yield GaugeMetricFamily("coatcheck_up", "Whether the store can be asked.", value=0)
            return
        yield GaugeMetricFamily("coatcheck_up", "Whether the store can be asked.", value=1)
        yield from _gauges(stats)
        family = CounterMetricFamily(
            "coatcheck_audit_events_written", "Audit events that were written, by ring.", labels=["ring"]
        )
        for name, last in written.items():
            family.add_metric([name], last + 1)
        yield family


def _counters(tally: Tally) -> Iterator[Metric]:
    counts = tally.counts
    for name, text, label, prefix, values in COUNTERS:
        family = CounterMetricFamily(name, text, labels=[label])
        for value in values:
            family.add_metric([value], counts.get(f"{prefix}{value}", 0))
        yield family
    for name, text, counter in PLAIN_COUNTERS:
        yield CounterMetricFamily(name, text, value=counts.get(counter, 0))
    adopted = CounterMetricFamily("coatcheck_adopted", "Sessions kept elsewhere, by what became.", labels=["outcome"])
    for name, count in sorted(counts.items()):
        if name.startswith("session.adopt"):
            adopted.add_metric([name.removeprefix("session.")], count)
    yield adopted
    for kind, text in (("handled", "Messages that actors have handled."), ("failed", "Errors that they ended in.")):
        family = CounterMetricFamily(f"coatcheck_actor_messages_{kind}", text, labels=["actor", "name"])
        for name, count in sorted(counts.items()):
            parts = name.split(".")
            if len(parts) == 4 and parts[0] == "actor" and parts[2] == kind:
                family.add_metric([parts[1], parts[3]], count)
        yield family
    yield GaugeMetricFamily("coatcheck_processes", "Processes that count now.", value=len(tally.processes))


def _gauges(stats: StoreStats) -> Iterator[Metric]:
    for name, text, attribute in GAUGES:
        yield GaugeMetricFamily(name, text, value=getattr(stats, attribute))


def render(store: LmdbStore) -> bytes:
    """The page ``/metrics`` in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CoatcheckCollector(store))
    page: bytes = generate_latest(registry)
    return page


def asgi_app(store: LmdbStore) -> Any:
    """An ASGI application with ``/metrics``, ``/healthz`` and ``/readyz``, to be served or mounted."""
    from coatcheck.admin.probes import as_asgi

    return as_asgi(store, render)


def wsgi_app(store: LmdbStore) -> Any:
    """The same for WSGI."""
    from coatcheck.admin.probes import as_wsgi

    return as_wsgi(store, render)
