"""Flask on an encrypted store: the keys are configuration, and a missing one costs nobody a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck import EncryptionKeyMissing
from tests.flask.conftest import client_of, cookie_of
from tests.flask.probe import create_app
from tests.support.keys import NEW, OLD


def test_a_worker_with_the_old_keys_signs_nobody_out(home: Path) -> None:
    """A page that meets a session under a key this worker does not have is an error; the cookie stays, and works."""
    behind = create_app(COATCHECK_HOME=str(home), COATCHECK_ENCRYPTION_KEYS=OLD)
    behind.test_client().get("/put?a=1")
    ahead = create_app(COATCHECK_HOME=str(home), COATCHECK_ENCRYPTION_KEYS=[NEW, OLD])
    visitor = ahead.test_client()
    visitor.get("/put?marker=unreadable")
    visitor.get("/login?name=ann")
    token = cookie_of(visitor)

    with behind.test_client() as lost:
        lost.set_cookie("__Host-id", token, secure=True)
        answer = lost.get("/read", base_url="https://localhost")
        untouched = lost.get("/untouched", base_url="https://localhost")

    assert answer.status_code == 500
    assert "Set-Cookie" not in answer.headers
    assert untouched.status_code == 200
    assert "Set-Cookie" not in untouched.headers
    behind.testing = True
    with pytest.raises(EncryptionKeyMissing):
        lost.get("/read", base_url="https://localhost")
    assert visitor.get("/read").json["data"] == {"marker": "unreadable"}  # type: ignore[index]
    client_of(ahead).store.sync()
    assert b"unreadable" not in (home / "data.mdb").read_bytes()
    client_of(behind).close()
    client_of(ahead).close()
