"""``flask coatcheck``: what an administrator sees and ends, without ever seeing a token or data."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from coatcheck import StoreUnavailable
from tests.flask.conftest import client_of, cookie_of


def run(app: Flask, *arguments: str) -> Result:
    """The command, as the shell would run it."""
    return app.test_cli_runner().invoke(args=["coatcheck", *arguments])


def rows(app: Flask, *arguments: str) -> list[dict[str, Any]]:
    """What the command says to programs, one object a line."""
    result = run(app, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """A name that no other test has: the tests of the actor lane share a store."""
    return request.node.name  # type: ignore[no-any-return]


@pytest.fixture
def browsers(app: Flask, user: str) -> list[FlaskClient]:
    """Three browsers of one user, with something in their sessions."""
    made = [app.test_client() for _ in range(3)]
    for browser in made:
        browser.get(f"/login?name={user}")
        browser.get("/put?secret=never-shown")
    return made


def test_find_lists_the_sessions_of_a_user(app: Flask, browsers: list[FlaskClient], user: str) -> None:
    """For people and for programs."""
    found = rows(app, "find", "--user", user)
    text = run(app, "find", "--user", user).output

    assert [row["principal"] for row in found] == [user] * 3
    assert [row["sid"] for row in found] == [browser.get("/read").get_json()["sid"] for browser in browsers]
    assert all(row["handle"] in text for row in found)
    assert "Werkzeug" in text
    assert rows(app, "find", "--user", "nobody at all") == []


def test_no_command_shows_a_token_or_data(app: Flask, browsers: list[FlaskClient], user: str) -> None:
    """Whatever is asked for."""
    said = [
        run(app, *command, *json).output
        for command in (["stats"], ["list"], ["find", "--user", user], ["check"], ["sweep"])
        for json in ([], ["--json"])
    ]

    assert all(said)
    for browser in browsers:
        assert not [text for text in said if cookie_of(browser) in text]
    assert not [text for text in said if "never-shown" in text]


def test_list_goes_on_where_it_ended(app: Flask, browsers: list[FlaskClient]) -> None:
    """Page by page, in the order of the sid."""
    everything = [row["sid"] for row in rows(app, "list", "--limit", "100000")]
    first = rows(app, "list", "--limit", "2")
    rest = rows(app, "list", "--after", first[-1]["sid"], "--limit", "100000")

    assert [row["sid"] for row in first + rest] == everything == sorted(everything)
    assert run(app, "list", "--after", "xyz").exit_code == 2


def test_revoke_ends_one_by_its_handle(app: Flask, browsers: list[FlaskClient], user: str) -> None:
    """The others of the user go on."""
    found = rows(app, "find", "--user", user)
    assert rows(app, "revoke", found[1]["sid"][:12]) == [{"ended": 1}]

    assert [browser.get("/read").get_json()["principal"] for browser in browsers] == [user, None, user]
    assert run(app, "revoke", found[1]["sid"]).exit_code == 1


@pytest.mark.parametrize("handle", ["0" * 7, "0" * 8, "f" * 32, "no-hex-at-all", "0" * 33])
def test_a_handle_that_fits_nothing_ends_nothing(app: Flask, browsers: list[FlaskClient], handle: str) -> None:
    """And the error says what a handle is."""
    result = run(app, "revoke", handle)

    assert result.exit_code == 1
    assert "8 to 32 hex digits" in result.output


def test_revoke_ends_all_of_a_user_but_one(app: Flask, browsers: list[FlaskClient], user: str) -> None:
    """One may be spared by its handle, which has to be one of theirs."""
    found = rows(app, "find", "--user", user)
    assert run(app, "revoke", "--user", user, "--except", "0" * 32).exit_code == 1
    assert len(rows(app, "find", "--user", user)) == 3

    assert rows(app, "revoke", "--user", user, "--except", found[2]["sid"]) == [{"ended": 2}]
    assert [browser.get("/read").get_json()["principal"] for browser in browsers] == [None, None, user]
    assert rows(app, "revoke", "--user", user) == [{"ended": 1}]
    assert run(app, "revoke", "--user", user).output == "ended: 0\n"


@pytest.mark.parametrize("arguments", [[], ["0" * 8, "--user", "ann"], ["0" * 8, "--except", "0" * 8]])
def test_revoke_wants_to_know_whom(app: Flask, arguments: list[str]) -> None:
    """Neither nobody nor two things at once."""
    assert run(app, "revoke", *arguments).exit_code == 2


def test_several_that_fit_are_not_ended(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one of them: more digits are asked for."""
    client = client_of(app)
    info = client.open(client.create({"a": 1})[0]).sid
    assert info is not None
    (one,) = client.scan(after=f"{int(info, 16) - 1:032x}", limit=1)
    twin = dataclasses.replace(one, sid=one.sid[:31] + ("0" if one.sid[31] != "0" else "1"))
    monkeypatch.setattr(client, "scan", lambda **_: iter([one, twin]))
    result = run(app, "revoke", info[:8])

    assert result.exit_code == 1
    assert "several" in result.output


def test_what_a_browser_calls_itself_cannot_command_a_terminal(app: Flask, user: str) -> None:
    """Control characters are shown as question marks."""
    client_of(app).create({"a": 1}, principal=user, meta={"user_agent": "\x1b]0;owned\x07", "label": "tel\nephone"})
    text = run(app, "find", "--user", user).output

    assert "?]0;owned?" in text
    assert "tel?ephone" in text
    assert "\x1b" not in text


def test_sweep_and_check_and_stats(app: Flask, browsers: list[FlaskClient]) -> None:
    """What the client answers."""
    assert rows(app, "stats")[0]["sessions"] >= 3
    assert rows(app, "sweep")[0]["held"] is False
    assert rows(app, "check")[0]["clean"] is True
    assert "clean: True" in run(app, "check").output


def test_an_outage_is_one_line(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no traceback."""

    def away() -> None:
        msg = "the store is having its lunch"
        raise StoreUnavailable(msg)

    monkeypatch.setattr(client_of(app), "stats", away)
    result = run(app, "stats")

    assert (result.exit_code, result.output) == (1, "Error: the store is having its lunch\n")
