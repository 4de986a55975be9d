"""``manage.py coatcheck`` and ``manage.py clearsessions``."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands

from coatcheck.client import SessionClient
from coatcheck.testing import FakeClock
from tests.django.conftest import ann
from tests.django.test_sessions import signed_in, stored
from tests.session.spy import Spy


def called(*arguments: str, **options: Any) -> str:
    """What the command prints."""
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def answer(*arguments: str) -> Any:
    """The same for programs."""
    return json.loads(called("coatcheck", "--json", *arguments))


def test_the_commands_are_there() -> None:
    """Also without ``django.contrib.sessions``."""
    assert get_commands()["coatcheck"] == get_commands()["clearsessions"] == "coatcheck.django"


def test_sessions_are_listed_without_their_keys(held: SessionClient) -> None:
    """All, or those of a user."""
    guest, user = stored(a="private"), signed_in(str(ann().pk))
    assert len(answer("list")["sessions"]) == 2
    (row,) = answer("list", "--user", "ann")["sessions"]
    assert (row["user"], row["handle"]) == (str(ann().pk), str(user.coat.sid)[:8])
    text = called("coatcheck", "list")
    assert row["handle"] in text
    for secret in (guest.session_key, user.session_key, "private"):
        assert str(secret) not in text
    assert len(answer("list", "--limit", "1")["sessions"]) == 1


def test_sessions_are_ended_by_user_and_by_handle(held: SessionClient) -> None:
    """And nobody else's."""
    guest, first, second = stored(a=1), signed_in(str(ann().pk)), signed_in(str(ann().pk))
    assert answer("revoke", "--handle", str(first.coat.sid)[:12]) == {"ended": 1}
    assert held.find(str(first.session_key)).reason == "revoked"
    assert answer("revoke", "--user", "ann") == {"ended": 1}
    assert held.find(str(second.session_key)).reason == "revoked"
    assert held.find(str(guest.session_key)).record is not None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["revoke", "--user", "nobody"], "no user named 'nobody'"),
        (["list", "--user", "nobody"], "no user named 'nobody'"),
        (["revoke", "--handle", "abc"], "8 to 32 hex digits"),
        (["revoke", "--handle", "0123456789"], "no session fits"),
        (["revoke"], "required"),
        ([], "required"),
    ],
)
def test_what_cannot_be_done_is_said(held: SessionClient, arguments: list[str], text: str) -> None:
    """And nothing is ended."""
    with pytest.raises(CommandError, match=text):
        called("coatcheck", *arguments)


def test_what_has_moved_in_is_counted(held: SessionClient) -> None:
    """By its source; a list shows of each session what is known about it."""
    assert answer("adopted") == {}
    for source in ("django-db", "django-db", "django-cache"):
        held.create({"a": 1}, meta={"adopted_from": source})
    stored(a=1)

    assert answer("adopted") == {"django-db": 2, "django-cache": 1}
    assert "None" not in called("coatcheck", "list")


def test_stats_sweep_and_check(held: SessionClient, clock: FakeClock) -> None:
    """What has expired is removed; the store is sound."""
    stored(a=1)
    assert answer("stats")["sessions"] == 1
    assert answer("sweep") == {"removed": 0}
    clock.advance(1000)
    signed_in(str(ann().pk))
    clock.advance(1000)
    assert answer("sweep") == {"removed": 1}
    assert answer("check") == {"checked": 1, "entries": answer("check")["entries"], "problems": []}
    assert "problems: 0" in called("coatcheck", "check")


def test_clearsessions_says_what_is_left(held: SessionClient, clock: FakeClock) -> None:
    """With ``-v 2``; otherwise it is as silent as Django's."""
    stored(a=1)
    clock.advance(2000)
    assert called("clearsessions") == ""
    assert called("clearsessions", verbosity=2) == "0 sessions\n"


def test_an_outage_is_an_error_of_the_command(held: SessionClient, spy: Spy) -> None:
    """Not a traceback."""
    spy.away = True
    with pytest.raises(CommandError, match="away"):
        called("coatcheck", "stats")
