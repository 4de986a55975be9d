"""A browser without pictures: keeps one cookie, repeats the word of the forms, follows no redirect by itself."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode


@dataclass
class Page:
    """One answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def flashes(self) -> list[str]:
        """The levels of the flashes on it, in order."""
        return re.findall(r'class="flash (\w+)"', self.text)

    @property
    def handle(self) -> str:
        """The session handle of the bottom line; empty when it says that there is none."""
        found = re.search(r"session <b>([0-9a-f]{8})</b>", self.text)
        return found[1] if found else ""

    @property
    def worker(self) -> int:
        """The pid of the bottom line."""
        found = re.search(r"served by worker <b>(\d+)</b>", self.text)
        assert found, self.text[-800:]
        return int(found[1])


@dataclass
class Visitor:
    """Somebody who looks around in the shop at ``127.0.0.1:port``."""

    port: int
    agent: str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    token: str = field(default="", repr=False)
    word: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """As the Host and Origin headers say it."""
        return f"127.0.0.1:{self.port}"

    def get(self, path: str) -> Page:
        """Open a page, and remember the word of its forms."""
        page = self.send("GET", path)
        found = re.search(r'name="csrf" value="([^"]*)"', page.text)
        self.word = found[1] if found else self.word
        return page

    def post(self, path: str, **form: str) -> Page:
        """Press a button of the last page."""
        return self.send("POST", path, {"csrf": self.word, **form}, origin=f"http://{self.host}")

    def send(self, method: str, path: str, form: dict[str, str] | None = None, origin: str | None = None) -> Page:
        """One request over a connection of its own; a cookie that is set or removed is set or removed here."""
        headers = {"User-Agent": self.agent, "Connection": "close"}
        if self.token:
            headers["Cookie"] = f"id={self.token}"
        if origin:
            headers["Origin"] = origin
        body = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            page = Page(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()
        for line in page.headers.get_all("Set-Cookie", []):
            cookies = SimpleCookie(line)
            if "id" in cookies:
                self.token = "" if cookies["id"]["max-age"] == "0" else cookies["id"].value
        return page

    def sign_in(self, name: str) -> Page:
        """Sign in as that user, and open the list of devices."""
        self.get("/login")
        self.post("/login", name=name)
        return self.get("/account")
