"""``flask.flash`` and ``get_flashed_messages``, unchanged, lose no message and show none twice."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from flask import Flask, flash, get_flashed_messages
from flask import session as flask_session
from flask.testing import FlaskClient
from markupsafe import Markup

from coatcheck import FlashMessage
from coatcheck.testing import together
from tests.flask.conftest import client_of, cookie_of, give

session: Any = flask_session


def waiting(app: Flask, browser: FlaskClient) -> list[tuple[str, str]]:
    """What is in the mailbox."""
    record = client_of(app).load(cookie_of(browser), touch=False)
    assert record is not None
    return [(flash.level, flash.message) for flash in record.flashes]


def request_of(app: Flask, browser: FlaskClient) -> Any:
    """A request of this browser that has begun."""
    return app.test_request_context(headers={"Cookie": f"__Host-id={cookie_of(browser)}"})


def end_of(app: Flask) -> None:
    """The end of the request."""
    app.process_response(app.response_class())


@pytest.fixture
def visitor(browser: FlaskClient) -> FlaskClient:
    """A browser that has a session."""
    browser.get("/put?a=1")
    return browser


def test_a_flash_is_shown_by_the_next_page_and_no_other(browser: FlaskClient) -> None:
    """Even the first thing that a visitor does may be to get one."""
    browser.get("/flash?text=hello&category=success")
    browser.get("/flash?text=again")

    assert browser.get("/show").get_json() == {"flashes": [["success", "hello"], ["message", "again"]]}
    assert browser.get("/show").get_json() == {"flashes": []}


def test_twenty_parallel_flashes_are_all_shown(app: Flask, visitor: FlaskClient) -> None:
    """Each once, whoever shows them, even while others flash."""
    token = cookie_of(visitor)

    def work(number: int) -> list[str]:
        browser = app.test_client()
        give(browser, token)
        browser.get(f"/flash?text={number}&pause=0.05")
        return [text for _, text in browser.get("/show").get_json()["flashes"]]

    shown = [text for texts in together(20, work) for text in texts]
    shown += [text for _, text in visitor.get("/show").get_json()["flashes"]]

    assert sorted(map(int, shown)) == list(range(20))


def test_flash_and_show_in_one_request(app: Flask, visitor: FlaskClient) -> None:
    """As in Flask: what was flashed is shown at once, and then it is gone."""
    with request_of(app, visitor):
        flash("one")
        flash("two", "error")
        assert get_flashed_messages(with_categories=True) == [("message", "one"), ("error", "two")]
        end_of(app)

    assert waiting(app, visitor) == []


def test_the_category_filter_takes_all(app: Flask, visitor: FlaskClient) -> None:
    """As in Flask: what the filter leaves out is taken too."""
    visitor.get("/flash?text=one&category=a")
    visitor.get("/flash?text=two&category=b")
    with request_of(app, visitor):
        assert get_flashed_messages(category_filter=["a"]) == ["one"]
        end_of(app)

    assert waiting(app, visitor) == []


def test_markup_stays_markup(app: Flask, visitor: FlaskClient) -> None:
    """Templates need not escape it, and do escape the rest."""
    with request_of(app, visitor):
        flash(Markup("<b>hi</b>"))
        flash("<b>no</b>")
        end_of(app)
    with request_of(app, visitor):
        marked, plain = get_flashed_messages()

    assert isinstance(marked, Markup)
    assert not isinstance(plain, Markup)


def test_lazy_texts_and_enums_are_flashed_as_what_they_say(app: Flask, visitor: FlaskClient) -> None:
    """As with Flask's own sessions: a translation that is made when it is shown, a category from an enum."""

    class Lazy:
        def __html__(self) -> str:
            return "a &amp; b"

    class Text(str):
        __slots__ = ()

    class Level(str, Enum):
        GOOD = "good"

    with request_of(app, visitor):
        flash(Lazy(), Level.GOOD)  # type: ignore[arg-type]
        flash(Text("text"))
        flash({"a": [1]})  # type: ignore[arg-type]
        end_of(app)
    with request_of(app, visitor):
        assert get_flashed_messages(with_categories=True) == [
            ("good", Markup("a &amp; b")),
            ("message", "text"),
            ("message", {"a": [1]}),
        ]


def test_get_returns_a_fresh_list(app: Flask, visitor: FlaskClient) -> None:
    """Changing it changes nothing until it is assigned."""
    visitor.get("/flash?text=one")
    with request_of(app, visitor):
        session.get("_flashes").append(("message", "not assigned"))
        assert session.get("_flashes") == [("message", "one")]
        assert session.get("_flashes") is not session.get("_flashes")
        end_of(app)

    assert waiting(app, visitor) == [("message", "one")]


def test_an_assignment_that_goes_on_where_get_ended_appends(app: Flask, visitor: FlaskClient) -> None:
    """Only what is new is added, to whatever the mailbox has by then."""
    visitor.get("/flash?text=one")
    with request_of(app, visitor):
        flashes = session.get("_flashes", [])
        flashes.append(("message", "mine"))
        session["_flashes"] = flashes
        visitor.get("/flash?text=theirs")
        flashes.append(("message", "mine too"))
        session["_flashes"] = flashes
        end_of(app)

    assert [text for _, text in waiting(app, visitor)] == ["one", "theirs", "mine", "mine too"]


def test_an_assignment_of_anything_else_replaces(app: Flask, visitor: FlaskClient) -> None:
    """A list that does not begin with what ``get`` returned, or for which ``get`` was not asked."""
    visitor.get("/flash?text=one")
    visitor.get("/flash?text=two")
    with request_of(app, visitor):
        session["_flashes"] = [each for each in session.get("_flashes") if each[1] != "one"]
        end_of(app)
    assert [text for _, text in waiting(app, visitor)] == ["two"]

    with request_of(app, visitor):
        session["_flashes"] = [("a", "new")]
        assert session.get("_flashes") == [("a", "new")]
        flash("newer")
        end_of(app)
    assert waiting(app, visitor) == [("a", "new"), ("message", "newer")]

    with request_of(app, visitor):
        session["_flashes"] = []
        assert "_flashes" not in session
        end_of(app)
    assert waiting(app, visitor) == []


@pytest.mark.parametrize("value", [["text"], [("a", "b", "c")], 5, None])
def test_the_mailbox_takes_pairs_only(app: Flask, visitor: FlaskClient, value: object) -> None:
    """Anything else would fail when it is shown, on another page."""
    with request_of(app, visitor), pytest.raises(TypeError, match=r"category, message"):
        session["_flashes"] = value


def test_looking_does_not_take_and_pop_and_del_do(app: Flask, visitor: FlaskClient) -> None:
    """``in``, ``get``, ``[]`` look; ``pop`` and ``del`` take, with the errors of a dict when there is nothing."""
    visitor.get("/flash?text=one")
    with request_of(app, visitor):
        assert "_flashes" in session
        assert session["_flashes"] == session.get("_flashes") == [("message", "one")]
        end_of(app)
    with request_of(app, visitor):
        assert session.pop("_flashes") == [("message", "one")]
        assert "_flashes" not in session
        assert session.pop("_flashes", "nothing") == "nothing"
        assert session.get("_flashes", "nothing") == "nothing"
        for use in (session.pop, session.__getitem__, session.__delitem__):
            with pytest.raises(KeyError, match="_flashes"):
                use("_flashes")
        end_of(app)
    assert waiting(app, visitor) == []

    visitor.get("/flash?text=two")
    with request_of(app, visitor):
        del session["_flashes"]
        end_of(app)
    assert waiting(app, visitor) == []


def test_what_another_request_took_first_is_not_there(app: Flask, visitor: FlaskClient) -> None:
    """Seen by ``in``, gone by the time of ``pop``: an empty list, not an error."""
    visitor.get("/flash?text=one")
    with request_of(app, visitor):
        assert "_flashes" in session
        assert visitor.get("/show").get_json() == {"flashes": [["message", "one"]]}
        assert get_flashed_messages() == []


def test_the_older_idiom(app: Flask, visitor: FlaskClient) -> None:
    """``session.setdefault("_flashes", []).append(...)``, as Flask itself had it once."""
    with request_of(app, visitor):
        session.setdefault("_flashes", []).append(("a", "one"))
        end_of(app)
    with request_of(app, visitor):
        session["_flashes"].append(("a", "two"))
        assert [text for _, text in session.get("_flashes")] == ["one", "two"]
        end_of(app)
    with request_of(app, visitor):
        assert session.setdefault("_flashes", [("b", "not this")]) == [("a", "one"), ("a", "two")]
        end_of(app)

    assert waiting(app, visitor) == [("a", "one"), ("a", "two")]


def test_flashes_are_no_data(app: Flask, visitor: FlaskClient) -> None:
    """Not among the keys, whether they come from Flask or from elsewhere; their titles survive other flashes."""
    client_of(app).add_flash(cookie_of(visitor), FlashMessage.error("from a job", title="Oh"))
    with request_of(app, visitor):
        flash("one")
        assert list(session) == ["a"]
        assert len(session) == 1
        end_of(app)

    record = client_of(app).load(cookie_of(visitor))
    assert record is not None
    assert record.flashes == [FlashMessage.error("from a job", title="Oh"), FlashMessage("message", "one")]


def test_a_flash_survives_login_and_a_logout_with_a_word(app: Flask, visitor: FlaskClient) -> None:
    """A flash that waits is still there under the new token; after a logout only what was flashed then."""
    visitor.get("/flash?text=one")
    visitor.get("/login?name=ann")
    assert waiting(app, visitor) == [("message", "one")]
    with request_of(app, visitor):
        session.clear()
        flash("bye")
        response = app.process_response(app.response_class())
    token = response.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    give(visitor, token)

    assert visitor.get("/read").get_json()["principal"] is None
    assert visitor.get("/show").get_json() == {"flashes": [["message", "bye"]]}
