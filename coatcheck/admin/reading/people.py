"""The sessions and devices of one user: to look at, to hand out, to erase (GDPR articles 15, 17 and 20)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from coatcheck.admin.reading.handles import shortened
from coatcheck.admin.reading.plain import plain
from coatcheck.admin.reading.rings import store_of
from coatcheck.admin.reading.words import DEVICE, moment

if TYPE_CHECKING:
    from coatcheck.client import SessionClient
    from coatcheck.store.contract import SessionInfo

FORMAT: Final = 1
"""The layout of what ``export`` makes."""


@dataclass(frozen=True)
class Device:
    """What sessions have in common that were used from one device, as far as the application has noted it."""

    label: str | None
    """A name, such as ``my phone``."""

    ip: str | None
    """The address it was last known at."""

    user_agent: str | None
    """What the browser calls itself."""

    sessions: int
    """How many there are."""

    last_seen_at: int
    """Microseconds UTC."""


@dataclass(frozen=True)
class Person:
    """A user, and what is open in their name."""

    user: str
    """The principal."""

    sessions: tuple[SessionInfo, ...]
    """Live ones, oldest first."""

    devices: tuple[Device, ...]
    """The one used last comes first."""


@dataclass(frozen=True)
class Erased:
    """What an erasure has done."""

    sessions: int
    """Live sessions that were ended."""

    events: int
    """Audit events that named the user, and do not any more."""


def person(client: SessionClient, user: str) -> Person:
    """A user's sessions and devices. Somebody with no session has none; raises what the store raises."""
    sessions = tuple(client.sessions_of(user))
    return Person(user, sessions, devices_of(sessions))


def devices_of(sessions: Iterable[SessionInfo]) -> tuple[Device, ...]:
    """The devices of these sessions, the one used last first."""
    found: dict[tuple[str | None, str | None, str | None], list[SessionInfo]] = {}
    for info in sessions:
        label, ip, user_agent = (_text(info.meta.get(name)) for name in DEVICE)
        found.setdefault((label, ip, user_agent), []).append(info)
    devices = [Device(*names, len(group), max(each.last_seen_at for each in group)) for names, group in found.items()]
    return tuple(sorted(devices, key=lambda each: -each.last_seen_at))


def export(client: SessionClient, user: str) -> dict[str, Any]:
    """All that the store keeps about a user, with the data of their sessions: hand it to nobody else.

    Of values that ``json.dumps`` takes; see :func:`coatcheck.admin.reading.plain.plain`. Raises ConfigurationError on
    the actor lane, EncryptionKeyMissing where something is sealed under a lost key.
    """
    store = store_of(client)
    live = person(client, user)
    names = shortened(info.sid for info in live.sessions)
    return {
        "format": FORMAT,
        "user": user,
        "exported_at": moment(client.clock.now()),
        "sessions": [_exported(client, info, names[info.sid]) for info in live.sessions],
        "devices": [{**asdict(each), "last_seen_at": moment(each.last_seen_at)} for each in live.devices],
        "events": [
            {"at": moment(event.at), "kind": event.kind, "session": event.sid, "detail": plain(event.detail)}
            for _, event in store.history(principal=user)
        ],
    }


def erase(client: SessionClient, user: str) -> Erased:
    """End all sessions of a user and take their name out of the audit events. Can be repeated, and finishes then.

    What happened to which session, and when, stays in the ring, without the name and its details. What was erased may
    be in free pages of the data file until it is compacted, and is in backups. Raises ConfigurationError on the actor
    lane.
    """
    store = store_of(client)
    ended = events = 0
    # A login may come in between, and what is revoked leaves an event: only when both find nothing it is done.
    while True:
        some = client.revoke(user)
        ended += some
        named = store.forget(user)
        events += named
        if not some and not named:
            return Erased(ended, events)


def _exported(client: SessionClient, info: SessionInfo, handle: str) -> dict[str, Any]:
    record = store_of(client).session(info.sid)
    known: dict[str, Any] = {
        "handle": handle,
        "sid": info.sid,
        "created_at": moment(info.created_at),
        "last_seen_at": moment(info.last_seen_at),
        "expires_at": moment(info.expires_at),
        "meta": plain(info.meta),
        "size": info.size,
    }
    if record is not None:  # it may have ended meanwhile
        known["data"] = plain(record.data)
        known["flashes"] = [
            {"level": each.level, "title": each.title, "message": each.message} for each in record.flashes
        ]
    return known


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
