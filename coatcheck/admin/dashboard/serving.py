"""The process of the dashboard: its listener, the link that it prints, and its end with whoever started it."""

from __future__ import annotations

import getpass
import json
import logging
import os
import socket
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import uvicorn

from coatcheck.admin.dashboard.app import create_app
from coatcheck.admin.dashboard.desk import Desk
from coatcheck.admin.dashboard.doors import Doors
from coatcheck.admin.dashboard.headers import Hosts
from coatcheck.admin.dashboard.links import LIFETIME, Links
from coatcheck.admin.dashboard.passwords import PasswordFile
from coatcheck.client import SessionClient
from coatcheck.errors import ConfigurationError
from coatcheck.store.files import prepare_directory, write_private

if TYPE_CHECKING:
    from coatcheck.settings import Settings

HOST: Final = "127.0.0.1"
PORT: Final = 8929

WHERE: Final = "dashboard.json"
"""In the state directory: where the dashboard is, for those who print links to it."""

_log = logging.getLogger("coatcheck.dashboard")


@dataclass(frozen=True)
class Options:
    """How the dashboard is served."""

    host: str = HOST
    """The address to listen on."""

    port: int = PORT
    """0: any free one."""

    url: str | None = None
    """What browsers ask for, where a proxy with TLS stands in front: ``https://admin.example.org``."""

    password_file: Path | None = None
    """Who may sign in with a password."""

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what cannot be."""
        try:
            ip_address(self.host)
        except ValueError:
            msg = f"the dashboard's host is {self.host!r}: use an address of this machine, such as {HOST}"
            raise ConfigurationError(msg) from None
        if not 0 <= self.port < 65536:
            msg = f"the dashboard's port is {self.port}: use 1 to 65535, or 0 for any free one"
            raise ConfigurationError(msg)
        if self.url is not None:
            try:
                parts = urlsplit(self.url)
                good = parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"}
            except ValueError:
                good = False
            if not good:
                msg = f"the dashboard's url is {self.url!r}: use scheme and host, such as https://admin.example.org"
                raise ConfigurationError(msg)

    @property
    def https(self) -> bool:
        """Whether browsers come over TLS."""
        return self.url is not None and self.url.startswith("https:")


def serve(settings: Settings, options: Options, *, link: bool = True) -> None:
    """Serve until SIGTERM or SIGINT. ``link``: print one to stderr. Raises ConfigurationError."""
    prepare_directory(settings.home)
    passwords = None if options.password_file is None else PasswordFile(options.password_file)
    doors = Doors(settings.home, Links(settings.home), passwords, https=options.https)
    with SessionClient(settings) as client, _listen(options) as listener:
        app = create_app(Desk(client), doors, Hosts(options.host, options.url))
        port: int = listener.getsockname()[1]
        if not ip_address(options.host).is_loopback:
            _log.warning("the dashboard listens on %s: put a proxy with TLS in front of it", options.host)
        write_private(settings.home / WHERE, json.dumps({"url": _url(options, port), "pid": os.getpid()}) + "\n")
        if link:
            say_link(settings.home)
        # Its log of requests would have links in it, and who looked at which user.
        config = uvicorn.Config(
            app, access_log=False, log_config=None, server_header=False, lifespan="on", ws="none",
            timeout_graceful_shutdown=2, proxy_headers=False, h11_max_incomplete_event_size=16_384,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])


def _listen(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        where = f"{options.host}:{options.port}"
        msg = f"the dashboard cannot listen on {where}: {error.strerror}; --dashboard-port takes another"
        raise ConfigurationError(msg) from error
    return listener


def _url(options: Options, port: int) -> str:
    if options.url is not None:
        return options.url.rstrip("/")
    return f"http://[{options.host}]:{port}" if ":" in options.host else f"http://{options.host}:{port}"


def say_link(home: Path) -> None:
    """Print a new link to stderr: never to a log, which more people read."""
    another = f"{Path(sys.executable).name} -m coatcheck.admin.dashboard link --home {home}"
    lines = (
        f"The dashboard: {new_link(home)}",
        f"  signs you in once, within {LIFETIME // 60} minutes; another one: {another}",
    )
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - for whoever started it


def new_link(home: Path) -> str:
    """A link into the dashboard of this state directory. Raises ConfigurationError when there is none."""
    try:
        url = str(json.loads((home / WHERE).read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        msg = f"no dashboard has been started on {home}: start one with: python -m coatcheck.system --dashboard"
        raise ConfigurationError(msg) from None
    return f"{url}/login?link={Links(home).new(_me())}"


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
