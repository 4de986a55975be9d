"""Who gets in, which forms are taken, what is never shown, and what every response says."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from starlette.testclient import TestClient

from coatcheck import SessionClient
from coatcheck.admin.dashboard.doors import Doors
from coatcheck.admin.dashboard.headers import Hosts
from coatcheck.admin.dashboard.pages.login import local
from tests.admin.dashboard.conftest import SECRET, csrf_of

PAGES = ["/", "/sessions", "/users", "/users?name=anna", "/users/end?name=anna", "/audit", "/actors", "/redis"]
STREAMS = ["/live/overview", "/live/audit", "/live/actors", "/live/redis"]
FORMS = ["/sweep", "/users/end", "/sessions/" + "0" * 32 + "/end", "/logout"]


@pytest.mark.parametrize("path", [*PAGES, "/sessions/" + "0" * 32, "/nowhere"])
def test_no_page_without_a_login(stranger: TestClient, path: str) -> None:
    """Whoever has not signed in is sent to the login, and back afterwards."""
    answer = stranger.get(path)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize("path", STREAMS)
def test_no_stream_without_a_login(stranger: TestClient, path: str) -> None:
    """A live update is a page, too."""
    assert stranger.get(path).status_code == 401


@pytest.mark.parametrize("path", FORMS)
def test_no_form_without_a_login(stranger: TestClient, path: str) -> None:
    """Nothing can be done from outside."""
    assert stranger.post(path, data={"csrf": "x"}).status_code == 401


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("csrf", [None, "", "x" * 43, "ü"])
def test_a_form_without_its_token_is_refused(operator: TestClient, path: str, csrf: str | None) -> None:
    """Also when the browser sends the cookie."""
    assert operator.post(path, data={"other": "x"} if csrf is None else {"csrf": csrf}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_from_elsewhere_is_refused(operator: TestClient, doors: Doors, headers: dict[str, str]) -> None:
    """Even with the right token, and from another port of this machine."""
    assert operator.post("/sweep", data={"csrf": csrf_of(doors, operator)}, headers=headers).status_code == 403
    assert operator.post("/login", data={"link": "x"}, headers=headers).status_code == 403


def test_a_form_of_ours_is_taken(operator: TestClient, doors: Doors, client: SessionClient, anna: str) -> None:
    """A session is ended, and the audit says by whom."""
    sid = client.sessions_of("anna")[0].sid
    headers = {"Origin": "http://127.0.0.1:8929", "Sec-Fetch-Site": "same-origin"}

    answer = operator.post(f"/sessions/{sid}/end", data={"csrf": csrf_of(doors, operator)}, headers=headers)

    assert answer.status_code == 303
    assert client.find(anna).reason == "revoked"
    page = operator.get(f"/sessions/{sid}").text
    assert "is ended" in page
    assert "revoked by dashboard:olga" in page


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_only_forms_are_taken(operator: TestClient, kind: str) -> None:
    """No other kind of body is read."""
    assert operator.post("/sweep", content=b"csrf=x", headers={"Content-Type": kind}).status_code == 415


def test_a_large_form_is_refused(operator: TestClient) -> None:
    """It is not read to its end."""
    assert operator.post("/sweep", data={"csrf": "x" * 20_000}).status_code == 413


def test_a_link_is_used_once(stranger: TestClient, doors: Doors) -> None:
    """Opening it does not use it up, pressing the button does."""
    token = doors.links.new("olga")
    assert "Sign in with this link" in stranger.get(f"/login?link={token}").text

    assert stranger.post("/login", data={"link": token}).status_code == 303
    stranger.cookies.clear()

    again = stranger.post("/login", data={"link": token})
    assert again.status_code == 403
    assert "has been used" in again.text
    assert stranger.get("/").status_code == 303


def test_of_many_who_use_a_link_at_once_one_gets_in(doors: Doors) -> None:
    """Whoever has copied it comes too late, or its owner does and knows."""
    for _ in range(50):
        token = doors.links.new("olga")
        together = threading.Barrier(8)

        def use(token: str = token, together: threading.Barrier = together) -> bool:
            together.wait()
            return doors.links.use(token) is not None

        with ThreadPoolExecutor(8) as pool:
            assert sum(each.result() for each in [pool.submit(use) for _ in range(8)]) == 1


def test_signing_out_ends_the_visit(operator: TestClient, doors: Doors) -> None:
    """The cookie opens nothing any more, wherever a copy of it is."""
    token = operator.cookies[doors.cookie]

    assert operator.post("/logout", data={"csrf": csrf_of(doors, operator)}).status_code == 303

    assert operator.get("/", headers={"Cookie": f"{doors.cookie}={token}"}).status_code == 303


def test_the_cookie_is_strict(stranger: TestClient, doors: Doors) -> None:
    """Out of reach for scripts and other sites."""
    cookie = stranger.post("/login", data={"link": doors.links.new("olga")}).headers["set-cookie"].lower()

    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "domain" not in cookie


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8929", "", "localhost@evil", "a b"]
)
def test_another_name_is_refused(operator: TestClient, host: str) -> None:
    """A name of an attacker that leads here for a moment (DNS rebinding) opens nothing, signed in or not."""
    for path in ("/", "/login", "/static/dashboard.css"):
        assert operator.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8929", "localhost:9000", "LOCALHOST", "[::1]:8929", "127.0.0.2"])
def test_loopback_names_are_known(host: str) -> None:
    """With any port, as tunnels have their own."""
    assert Hosts("127.0.0.1").allows(host)


def test_the_name_of_the_proxy_is_known() -> None:
    """And no other."""
    hosts = Hosts("127.0.0.1", "https://admin.example.org")

    assert hosts.allows("admin.example.org")
    assert not hosts.allows("example.org")


@pytest.mark.parametrize("path", [*PAGES, "/login", "/nowhere", "/static/dashboard.css", "/static/nowhere"])
def test_every_response_is_strict(operator: TestClient, path: str) -> None:
    """Nothing inline, nothing framed, nothing guessed, nothing kept."""
    headers = operator.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers
    if not path.startswith("/static/dashboard"):
        assert headers["cache-control"] == "no-store"


def test_no_page_has_anything_inline(operator: TestClient, anna: str) -> None:
    """The policy forbids it, so nothing may need it: no style, no script, no handler, no other origin."""
    for path in (*PAGES, "/login"):
        text = operator.get(path).text
        assert not re.search(r"<style|\sstyle=|<script(?! src=)|\son[a-z]+=|javascript:", text), path
        assert not re.findall(r'(?:src|href)="(?!/|#)[^"]*"', text), path


def test_no_page_shows_a_token_or_data(operator: TestClient, client: SessionClient, anna: str) -> None:
    """Of a session there is what it is, never what opens it or what is in it."""
    sid = client.sessions_of("anna")[0].sid
    for path in (*PAGES, f"/sessions/{sid}", f"/sessions/{sid}/end", "/sessions?find=anna", "/sessions?device=firefox"):
        text = operator.get(path, follow_redirects=True).text
        assert "anna" in text or path in {"/actors", "/redis"}, path
        assert anna not in text, path
        assert SECRET not in text, path


def test_what_users_choose_is_escaped(operator: TestClient, client: SessionClient) -> None:
    """Names, agents and labels are text, wherever they are shown."""
    evil = '"><img src=x onerror=alert(1)>'
    token, _ = client.create({}, meta={"ip": evil, "user_agent": evil, "label": evil})
    client.login(token, evil)
    sid = client.sessions_of(evil)[0].sid

    for path in ("/", "/sessions", "/audit", "/users", f"/sessions/{sid}", f"/sessions/{sid}/end"):
        text = operator.get(path).text
        assert "<img" not in text, path
    assert "<img" not in operator.get("/users", params={"name": evil}).text


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "http://[", "/a\nb", ""],
)
def test_after_the_login_one_stays_here(path: str) -> None:
    """The address to go to afterwards is never another site's."""
    assert local(path) == "/"


def test_after_the_login_one_is_where_one_wanted_to_be() -> None:
    """A path of ours is kept, with its query."""
    assert local("/users?name=anna") == "/users?name=anna"


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=200)
@hypothesis.given(
    path=st.sampled_from(
        ["/", "/sessions", "/sessions/", "/users", "/users/end", "/audit", "/actors", "/redis", "/x/"]
    ),
    more=st.one_of(st.just(""), st.text(max_size=40)),
    query=st.dictionaries(
        st.sampled_from(
            "find user state used idle created ends size device ip cursor name ring kind before session".split()
        ),
        st.one_of(
            st.text(max_size=600), st.integers().map(str), st.sampled_from(["life", "refused", "0" * 32, "ab" * 6])
        ),
        max_size=5,
    ),
    htmx=st.booleans(),
)
def test_no_path_and_no_query_is_an_error_of_ours(
    operator: TestClient, path: str, more: str, query: dict[str, str], htmx: bool
) -> None:
    """Whatever is asked for: an answer, or what is wrong with the question."""
    from urllib.parse import quote

    if path.endswith("/"):
        path += quote(more.encode("utf-8", "surrogatepass"), safe="")
    query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    answer = operator.get(path, params=query, headers={"HX-Request": "true"} if htmx else {})

    assert answer.status_code < 500, (path, query, answer.text)


def test_files_are_a_fixed_set(operator: TestClient) -> None:
    """No path leads out of the folder."""
    for name in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "vendor", "", "vendor/htmx-2.0.11.LICENSE"):
        answer: Any = operator.get(f"/static/{name}")
        assert answer.status_code == 404, name
