"""As much of WebDriver (https://www.w3.org/TR/webdriver2/) as pressing a button takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which the protocol refers to an element."""


def programs() -> tuple[str, str] | None:
    """Chromium and its driver, or None where one is missing."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """One browser window."""

    def __init__(self, driver: str, binary: str, profile: Path) -> None:
        self._url = driver
        options = {"binary": binary, "args": [*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self._url = f"{driver}/session/{self._send('POST', '/session', wanted)['sessionId']}"

    def open(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        self._send("POST", "/url", {"url": url})

    def press(self, selector: str) -> None:
        """Click on what the CSS selector finds."""
        found = self._send("POST", "/element", {"using": "css selector", "value": selector})
        self._send("POST", f"/element/{found[ELEMENT]}/click", {})

    def read(self, script: str) -> Any:
        """What a piece of JavaScript returns."""
        return self._send("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def wait(self, script: str, seconds: float = 30.0) -> Any:
        """What the JavaScript returns once that is something. Raises AssertionError when it takes too long."""
        deadline = time.monotonic() + seconds
        while not (value := self.read(script)):
            assert time.monotonic() < deadline, f"still nothing after {seconds} s: {script}"
            time.sleep(0.05)
        return value

    def close(self) -> None:
        """Close the window and end the browser."""
        self._send("DELETE", "")

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile. It and its driver are gone at the end."""
    found = programs()
    assert found, "chromium and chromedriver are not installed"
    binary, driver = found
    with subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = next(line for line in process.stdout if "started successfully on port" in line)
            browser = Browser(f"http://127.0.0.1:{line.rstrip('. ' + chr(10)).rsplit(' ', 1)[1]}", binary, profile)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            process.terminate()
