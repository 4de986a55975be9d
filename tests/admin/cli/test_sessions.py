"""``list``, ``find``, ``show``, ``revoke``, ``export`` and ``erase``, beside the application that they are of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coatcheck.admin import exits
from tests.admin.cli.conftest import Shop
from tests.admin.cli.running import coatcheck


def test_a_new_operator_finds_sees_and_ends(home: Path, shop: Shop) -> None:
    """With the help alone: the sessions of a user, why one ended, and how to end another."""
    shop.client.delete(shop.other)
    page = coatcheck(home, "--help").out
    assert all(name in page for name in ("find", "show", "revoke", "HANDLE"))

    found = coatcheck(home, "find", "--user", "ann")
    assert shop.handle("ann") in found.out
    assert "its user signed out" in found.out
    assert "coatcheck revoke HANDLE" in found.err

    shown = coatcheck(home, "show", shop.handle("other"))
    assert "it ended" in shown.out
    assert "its user signed out" in shown.out

    ended = coatcheck(home, "revoke", shop.handle("ann"), "--by", "carl@support")
    assert (ended.code, ended.out) == (0, "1 session ended\n")
    assert shop.client.load(shop.ann) is None
    assert "it was revoked by carl@support" in coatcheck(home, "show", shop.handle("ann")).out


def test_no_command_tells_a_token_or_data(home: Path, shop: Shop, tmp_path: Path) -> None:
    """For people and for programs; data with --reveal only."""
    handle = shop.handle("ann")
    shop.client.rotate(shop.bob)
    commands: list[tuple[object, ...]] = [
        ("list",),
        ("find", "--user", "ann"),
        ("show", handle),
        ("stats",),
        ("status",),
        ("tail", "--no-follow"),
        ("check",),
        ("policy",),
        ("backup", tmp_path / "b1"),
        ("revoke", shop.handle("bob")),
    ]
    for command in commands:
        for as_json in ([], ["--json"]) if command[0] not in {"backup", "revoke"} else ([],):
            said = coatcheck(home, *command, *as_json)
            assert said.code == 0, said
            text = said.out + said.err
            assert text
            assert not [token for token in shop.tokens if token in text], command
            assert "the-secret-data" not in text
            assert "the-flash-of-ann" not in text
            assert "\x1b[2J" not in text


def test_reveal_shows_data_and_is_audited(home: Path, shop: Shop) -> None:
    """Values and flashes, and the audit says who has looked."""
    said = coatcheck(home, "show", shop.handle("ann"), "--reveal", "--json")

    session = said.json["session"]
    assert session["data"] == {"cart": ["the-secret-data"], "when": 1}
    assert session["flashes"][0]["message"] == "the-flash-of-ann"
    assert shop.ann not in said.out
    hidden = coatcheck(home, "show", shop.handle("ann"), "--json").json
    assert hidden["session"]["data"] == ["cart", "when"]
    assert "data_viewed" in {step["kind"] for step in hidden["steps"]}


def test_pages(home: Path, shop: Shop) -> None:
    """Each session on one page, and the last page says that it is."""
    first = coatcheck(home, "list", "--limit", "3", "--json").json
    rest = coatcheck(home, "list", "--after", first["next"], "--json").json

    assert [each["sid"] for each in first["sessions"] + rest["sessions"]] == sorted(shop.sids.values())
    assert rest["next"] is None
    assert "--after" in coatcheck(home, "list", "--limit", "3").err


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--user", "ann"], {"ann", "other"}),
        (["--state", "anonymous"], {"guest"}),
        (["--device", "my PHONE", "--state", "signed-in"], {"ann", "other", "bob"}),
        (["--meta", "ip=10.0.0.0/8", "--user", "bob"], {"bob"}),
        (["--idle-for", "1h"], set()),
        (["--since", "1h", "--before", "2099-01-01"], {"ann", "other", "bob", "guest"}),
        (["--ends-within", "1h30m", "--larger-than", "1"], {"ann", "other", "bob", "guest"}),
    ],
)
def test_filters(home: Path, shop: Shop, arguments: list[str], names: set[str]) -> None:
    """As the command line has them."""
    found = coatcheck(home, "list", *arguments, "--json").json

    assert {each["sid"] for each in found["sessions"]} == {shop.sids[name] for name in names}


def test_revoke_all_but_one(home: Path, shop: Shop) -> None:
    """Those of a user, one of them excepted, and nobody else's."""
    said = coatcheck(home, "revoke", "--user", "ann", "--except", shop.handle("other"), "--json")

    assert said.json == {"ended": 1}
    assert shop.client.load(shop.ann) is None
    assert shop.client.load(shop.other) is not None
    assert coatcheck(home, "revoke", "--user", "ann").out == "1 session ended\n"
    assert coatcheck(home, "revoke", "--user", "ann").out == "0 sessions ended\n"
    assert shop.client.load(shop.bob) is not None


def test_what_means_none_ends_none(home: Path, shop: Shop) -> None:
    """An unknown handle is exit 1, half an order exit 2; with --json the error is an object."""
    unknown = coatcheck(home, "revoke", "00000000", "--json")
    assert (unknown.code, unknown.json["kind"]) == (exits.NONE_SUCH, "HandleUnknown")
    assert "8 to 32 hex digits" in unknown.err
    assert coatcheck(home, "revoke").code == exits.WRONG_ARGUMENTS
    assert coatcheck(home, "revoke", shop.handle("ann"), "--user", "ann").code == exits.WRONG_ARGUMENTS
    assert coatcheck(home, "list", "--after", "xyz").code == exits.WRONG_ARGUMENTS
    assert coatcheck(home, "list", "--idle-for", "soon").code == exits.WRONG_ARGUMENTS
    assert shop.client.stats().sessions == 4


def test_export_is_for_one_user(home: Path, shop: Shop, tmp_path: Path) -> None:
    """To stdout, or into a new file that nobody else can read; audited."""
    found = coatcheck(home, "export", "--user", "ann").json
    assert {each["sid"] for each in found["sessions"]} == {shop.sids["ann"], shop.sids["other"]}

    target = tmp_path / "ann.json"
    said = coatcheck(home, "export", "--user", "ann", "--output", target, "--json")
    assert said.json["sessions"] == 2
    assert target.stat().st_mode & 0o777 == 0o600
    assert json.loads(target.read_text())["user"] == "ann"
    assert coatcheck(home, "export", "--user", "ann", "--output", target).code == exits.WRONG_ARGUMENTS
    assert "exported" in coatcheck(home, "tail", "--no-follow", "--user", "ann").out


def test_erase_asks_and_leaves_no_name(home: Path, shop: Shop) -> None:
    """No is no; yes ends the sessions and takes the name out of the audit."""
    assert coatcheck(home, "erase", "--user", "ann", stdin="n\n").code == exits.NONE_SUCH
    assert shop.client.load(shop.ann) is not None

    said = coatcheck(home, "erase", "--user", "ann", "--yes", "--json")
    assert said.json["sessions"] == 2
    assert shop.client.load(shop.ann) is None
    told = [json.loads(line) for line in coatcheck(home, "tail", "--no-follow", "--json").out.splitlines()]
    assert "ann" not in {each["principal"] for each in told}
    assert told[-1]["kind"] == "erased"
