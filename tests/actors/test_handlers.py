"""Every request has somebody who carries it out."""

from __future__ import annotations

from pathlib import Path

import coatcheck.actors
import coatcheck.messages
from coatcheck.actors import RedisPersistence, SessionManager, SystemSupervisor
from coatcheck.actors.verbs import Verbs
from coatcheck.messages import FindManager, InspectActor, InspectRedis, Message, QuietRequest, Request
from coatcheck.settings import Settings


def requests() -> set[type[Request]]:
    """All requests that somebody may send."""
    exported: list[type[Message]] = [getattr(coatcheck.messages, name) for name in coatcheck.messages.__all__]
    return {each for each in exported if issubclass(each, Request)} - {Request, QuietRequest}


def test_every_request_has_a_handler(tmp_path: Path) -> None:
    """Each request is carried out by one of the actors; no handler waits for what nobody sends."""
    manager = set(Verbs(Settings(home=tmp_path)).handlers)
    supervisor = set(SystemSupervisor().make_desk().handlers)

    persistence = set(RedisPersistence().make_desk().handlers)

    assert manager | supervisor | persistence == requests()
    assert manager & supervisor == set()
    assert supervisor == {FindManager, InspectActor}  # the second is every desk's
    assert persistence == {InspectRedis, InspectActor}


def test_the_actors_are_found_under_their_names() -> None:
    """What the outside relies on."""
    assert sorted(coatcheck.actors.__all__) == ["RedisPersistence", "SessionManager", "SystemSupervisor"]
    assert SessionManager.__module__ == "coatcheck.actors.session_manager"
