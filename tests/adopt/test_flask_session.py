"""From Flask-Session to coatcheck: what its real stores hold is taken over by the first request."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import flask_login
import msgpack
import pytest
import redis
import sqlalchemy
from cachelib import FileSystemCache
from flask import Flask, flash, get_flashed_messages
from flask import session as flask_session
from flask.testing import FlaskClient
from flask_session import Session as FlaskSession
from flask_sqlalchemy import SQLAlchemy

from benchmarks.servers import ServerMissing, redis_server
from coatcheck import ConfigurationError
from coatcheck.adopt import FlaskSessionCachelib, FlaskSessionRedis, FlaskSessionSQLAlchemy, LegacySource, Unreadable
from coatcheck.flask import Coatcheck
from tests.flask.conftest import client_of
from tests.support.require import require

# What Flask-Session itself is warned of, by Python and by its own newer versions.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*utcnow:DeprecationWarning", "ignore:The 'use_signer' option:DeprecationWarning"
)

SECRET = "for signatures"


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real server."""
    stack = contextlib.ExitStack()
    try:
        port = stack.enter_context(redis_server(tmp_path_factory.mktemp("redis")))
    except ServerMissing as error:
        require(None, str(error))
        return
    with stack:
        yield port


@dataclass
class Old:
    """The application on Flask-Session, and how to find its sessions."""

    app: Flask
    source: Callable[..., LegacySource]
    rows: Callable[[], int]


def views(app: Flask) -> Flask:
    """What both applications have."""
    manager = flask_login.LoginManager(app)

    class User(flask_login.UserMixin):
        def __init__(self, name: str) -> None:
            self.id = name

    manager.user_loader(User)

    @app.get("/begin/<name>")
    def begin(name: str) -> str:
        flask_login.login_user(User(name))
        flask_session["cart"] = [1, {"coat": 2}]
        flask_session["when"] = datetime(2026, 1, 2, tzinfo=timezone.utc)
        flask_session.permanent = True
        flash("welcome", "success")
        return "begun"

    @app.get("/who")
    def who() -> dict[str, Any]:
        user = flask_login.current_user
        return {
            "user": user.get_id() if user.is_authenticated else None,
            "cart": flask_session.get("cart"),
            "when": str(flask_session.get("when")),
            "permanent": flask_session.permanent,
        }

    @app.get("/untouched")
    def untouched() -> str:
        return "untouched"

    @app.get("/show")
    def show() -> Any:
        return get_flashed_messages(with_categories=True)

    @app.get("/logout")
    def logout() -> str:
        flask_login.logout_user()
        flask_session.clear()
        return "out"

    return app


def bare(**config: Any) -> Flask:
    """An application without sessions of its own yet."""
    app = Flask("app", static_folder=None)
    app.config.update(SECRET_KEY=SECRET, PERMANENT_SESSION_LIFETIME=timedelta(hours=2), **config)
    return app


@pytest.fixture(params=["redis", "redis-json", "redis-signed", "cachelib", "sqlalchemy"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Old]:
    """Flask-Session on each of its stores."""
    kind: str = request.param
    if kind.startswith("redis"):
        server = redis.Redis(port=request.getfixturevalue("redis_port"))
        server.flushall()
        app = bare(SESSION_TYPE="redis", SESSION_REDIS=server)
        if kind == "redis-json":
            app.config["SESSION_SERIALIZATION_FORMAT"] = "json"
        app.config["SESSION_USE_SIGNER"] = signed = kind == "redis-signed"
        FlaskSession(app)
        secret = SECRET if signed else None
        yield Old(views(app), lambda **o: FlaskSessionRedis(server, secret_key=secret, **o), server.dbsize)
        server.close()
    elif kind == "cachelib":
        cache = FileSystemCache(str(tmp_path / "old"), threshold=0)
        app = bare(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        FlaskSession(app)
        count = lambda: len(list((tmp_path / "old").iterdir()))  # noqa: E731
        yield Old(views(app), lambda **o: FlaskSessionCachelib(cache, **{"allow_pickle": True, **o}), count)
    else:
        url = f"sqlite:///{tmp_path / 'old.db'}"
        app = bare(SQLALCHEMY_DATABASE_URI=url, SESSION_TYPE="sqlalchemy")
        app.config["SESSION_SQLALCHEMY"] = database = SQLAlchemy(app)
        FlaskSession(app)
        engine = sqlalchemy.create_engine(url)

        def count() -> int:
            with engine.connect() as connection:
                return int(connection.execute(sqlalchemy.text("select count(*) from sessions")).scalar() or 0)

        yield Old(views(app), lambda **o: FlaskSessionSQLAlchemy(engine, **o), count)
        engine.dispose()
        with app.app_context():
            database.engine.dispose()


@pytest.fixture
def new(home: Path, old: Old) -> Iterator[Flask]:
    """The same application on coatcheck."""
    app = bare()
    Coatcheck(app, home=home, adopt=[old.source()])
    yield views(app)
    client_of(app).close()


def moved(old: Old, new: Flask, name: str = "ann") -> FlaskClient:
    """A browser that was signed in to the old application, and has its cookie."""
    before = old.app.test_client()
    before.get(f"/begin/{name}")
    cookie = before.get_cookie("session")
    assert cookie is not None
    browser = new.test_client()
    browser.set_cookie("session", cookie.value)
    return browser


def test_nobody_is_logged_out(old: Old, new: Flask) -> None:
    """User, data and flashes are there; the browser has a new cookie and not the old one; the old row is gone."""
    browser = moved(old, new)
    assert old.rows() == 1
    answer = browser.get("/who")
    found = answer.get_json()

    assert (found["user"], found["cart"], found["permanent"]) == ("ann", [1, {"coat": 2}], True)
    assert found["when"].startswith("2026-01-02")
    assert browser.get_cookie("__Host-id") is not None
    assert browser.get_cookie("session") is None
    assert old.rows() == 0
    assert [info.principal for info in client_of(new).scan()] == ["ann"]
    assert browser.get("/show").get_json() == [["success", "welcome"]]
    assert browser.get("/who").get_json()["user"] == "ann"
    assert client_of(new).counters["adopted"] == 1
    count = new.test_cli_runner().invoke(args=["coatcheck", "adopted"]).output
    assert count == f"{old.source().name}: 1\n"


def test_parallel_first_requests_end_in_one_session(old: Old, new: Flask) -> None:
    """A page and its pictures, all with the old cookie; also for a request that does not use the session."""
    browser = moved(old, new)
    cookie = browser.get_cookie("session")
    assert cookie is not None
    answers: list[Any] = []
    barrier = threading.Barrier(4)

    def visit(path: str) -> None:
        one = new.test_client()
        one.set_cookie("session", cookie.value)
        barrier.wait()
        answers.append(one.get(path))

    threads = [threading.Thread(target=visit, args=(path,)) for path in ("/who", "/who", "/untouched", "/who")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    values = {answer.headers["Set-Cookie"].partition(";")[0] for answer in answers}
    assert (len(answers), len(values)) == (4, 1)
    assert client_of(new).stats().sessions == 1
    assert old.rows() == 0


def test_who_has_signed_out_stays_out(old: Old, new: Flask) -> None:
    """On either side."""
    browser = moved(old, new)
    cookie = browser.get_cookie("session")
    assert cookie is not None
    browser.get("/who")
    browser.get("/logout")
    thief = new.test_client()
    thief.set_cookie("session", cookie.value)
    assert thief.get("/who").get_json()["user"] is None

    other = old.app.test_client()
    other.get("/begin/bob")
    value = other.get_cookie("session")
    assert value is not None
    other.get("/logout")
    thief.set_cookie("session", value.value)
    assert thief.get("/who").get_json()["user"] is None
    assert client_of(new).sessions_of("bob") == []


def test_an_unknown_id_is_no_session(old: Old, new: Flask) -> None:
    """It is not adopted, and costs nothing."""
    browser = new.test_client()
    browser.set_cookie("session", "invented-by-somebody-000000")

    assert browser.get("/who").get_json()["user"] is None
    assert client_of(new).stats().sessions == 0


def test_the_same_name_of_cookie(home: Path, old: Old) -> None:
    """The new cookie takes the place of the old one."""
    app = bare(COATCHECK_COOKIE_NAME="session")
    Coatcheck(app, home=home, adopt=old.source())
    browser = moved(old, views(app))
    before = browser.get_cookie("session")

    assert browser.get("/who").get_json()["user"] == "ann"
    after = browser.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert browser.get("/who").get_json()["user"] == "ann"
    client_of(app).close()


# What is special about one of them ---------------------------------------------------------------------------------


def test_expired_rows_are_no_sessions(tmp_path: Path, home: Path) -> None:
    """A database keeps them until somebody cleans up."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table sessions (session_id text, data blob, expiry timestamp)"))
        for name, expiry in (("live", "2999-01-01 00:00:00.000000"), ("over", "2020-01-01 00:00:00"), ("none", None)):
            values = {"id": f"session:{name}-and-well-000001", "data": b"\x81\xa1a\x01", "expiry": expiry}
            connection.execute(sqlalchemy.text("insert into sessions values (:id, :data, :expiry)"), values)
    source = FlaskSessionSQLAlchemy(engine)

    found = source.read("live-and-well-000001")
    assert found is not None
    assert (found.data, found.expires_at) == ({"a": 1}, datetime(2999, 1, 1, tzinfo=timezone.utc).timestamp())
    over = source.read("over-and-well-000001")
    assert over is not None
    assert over.expires_at == datetime(2020, 1, 1, tzinfo=timezone.utc).timestamp()
    assert source.read("none-and-well-000001") is None
    assert [source.remove("live-and-well-000001") for _ in range(2)] == [True, False]
    engine.dispose()


def test_a_file_that_has_expired_is_no_session(tmp_path: Path) -> None:
    """Its time stands in front of the pickle."""
    cache = FileSystemCache(str(tmp_path), threshold=0)
    source = FlaskSessionCachelib(cache, allow_pickle=True)
    cache.set("session:an-id-with-a-time-01", {"a": 1}, timeout=3600)
    cache.set("session:an-id-with-a-time-02", {"a": 1}, timeout=-5)
    cache.set("session:an-id-with-a-time-03", {"a": 1}, timeout=0)

    found = [source.read(f"an-id-with-a-time-0{number}") for number in (1, 2, 3, 4)]
    assert [each and each.data for each in found] == [{"a": 1}, None, {"a": 1}, None]
    assert found[0] is not None
    assert found[0].expires_at is not None
    assert [source.remove("an-id-with-a-time-01") for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    "packed",
    [
        msgpack.packb({"_user_id": "ann", "_flashes": [["info", "one", "two"]]}),
        msgpack.packb({"_user_id": "ann", "_flashes": None}),
        msgpack.packb({"_user_id": "ann", "_flashes": 5}),
    ],
)
def test_odd_flashes_lock_nobody_out(packed: bytes) -> None:
    """They are left out. The cookie comes again: an error would be the answer to all requests of its user."""
    found = FlaskSessionRedis({"session:an-id-that-is-odd": packed}).read("an-id-that-is-odd")

    assert found is not None
    assert (found.principal, found.flashes) == ("ann", ())


@pytest.mark.parametrize("packed", [b"[" * 200_000, b'{"a":' * 200_000, b"\x91" * 200_000])
def test_a_bomb_of_brackets_is_no_session(packed: bytes) -> None:
    """Neither an outage, which would be the answer to each request that brings the cookie, nor the end of a worker."""
    with pytest.raises(Unreadable):
        FlaskSessionRedis({"session:an-id-that-is-odd": packed}).read("an-id-that-is-odd")


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import pathlib; pathlib.Path('evil').touch()",)


@pytest.mark.parametrize("allowed", [False, True])
def test_pickles_of_the_old_days(redis_port: int, home: Path, tmp_path: Path, allowed: bool) -> None:
    """Before 0.6: taken over if that was asked for, and then plain types only; never run."""
    server = redis.Redis(port=redis_port)
    server.flushall()
    server.set("session:an-id-of-the-old-days", pickle.dumps({"_user_id": "ann", "tags": {"a"}}))
    server.set("session:an-id-of-the-bad-days", pickle.dumps({"x": Evil()}))
    app = bare()
    Coatcheck(app, home=home, adopt=FlaskSessionRedis(server, allow_pickle=allowed))
    views(app)

    def user(legacy_id: str) -> Any:
        browser = app.test_client()
        browser.set_cookie("session", legacy_id)
        return browser.get("/who").get_json()["user"]

    with contextlib.chdir(tmp_path) if hasattr(contextlib, "chdir") else contextlib.nullcontext():
        assert user("an-id-of-the-old-days") == ("ann" if allowed else None)
        assert user("an-id-of-the-bad-days") is None
        assert not (tmp_path / "evil").exists()
    assert client_of(app).counters["adopt_unreadable"] == (1 if allowed else 2)
    client_of(app).close()
    server.close()


def test_cachelib_needs_the_word(tmp_path: Path) -> None:
    """It always pickles, so it cannot be read without."""
    with pytest.raises(ConfigurationError, match="allow_pickle=True"):
        FlaskSessionCachelib(FileSystemCache(str(tmp_path)))
    with pytest.raises(ConfigurationError, match="FileSystemCache, not dict"):
        FlaskSessionCachelib({}, allow_pickle=True)


def test_an_outage_of_redis_logs_nobody_out(home: Path, redis_port: int) -> None:
    """503 and both cookies as they were; afterwards the session is there."""
    server = redis.Redis(port=redis_port)
    server.flushall()
    old_app = bare(SESSION_TYPE="redis", SESSION_REDIS=server)
    FlaskSession(old_app)
    away = redis.Redis(port=1)
    apps = []
    for each in (away, server):
        app = bare()
        Coatcheck(app, home=home, adopt=FlaskSessionRedis(each))
        apps.append(views(app))
    old = Old(views(old_app), FlaskSessionRedis, server.dbsize)
    browser = moved(old, apps[0])
    answer = browser.get("/who")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False)
    cookie = browser.get_cookie("session")
    assert cookie is not None
    later = apps[1].test_client()
    later.set_cookie("session", cookie.value)

    assert later.get("/who").get_json()["user"] == "ann"
    for app in apps:
        client_of(app).close()
    server.close()


def test_a_header_has_no_cookies_to_adopt(home: Path) -> None:
    """The two do not go together."""
    app = bare(COATCHECK_TOKEN_HEADER="X-Session-Token")
    with pytest.raises(ConfigurationError, match="COATCHECK_ADOPT"):
        Coatcheck(app, home=home, adopt=[FlaskSessionRedis(None)])


def test_on_the_actor_lane_too(redis_port: int, request: pytest.FixtureRequest) -> None:
    """There the session is looked for when it is first used."""
    system = request.getfixturevalue("system")
    server = redis.Redis(port=redis_port)
    server.flushall()
    old_app = bare(SESSION_TYPE="redis", SESSION_REDIS=server)
    FlaskSession(old_app)
    app = bare(COATCHECK_LANE="actor")
    Coatcheck(app, home=system.home, adopt=FlaskSessionRedis(server))
    browser = moved(Old(views(old_app), FlaskSessionRedis, server.dbsize), views(app), "ann-by-actor")

    assert browser.get("/who").get_json()["user"] == "ann-by-actor"
    assert server.dbsize() == 0
    assert browser.get_cookie("session") is None
    assert client_of(app).revoke("ann-by-actor") == 1
    assert browser.get("/who").get_json()["user"] is None
    client_of(app).close()
    server.close()
