"""``Clear-Site-Data`` in the response to a logout."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings

from coatcheck.django.config import get_options

USUAL = '"cache", "storage"'


@pytest.mark.parametrize(("setting", "said"), [(True, USUAL), (["cookies"], '"cookies"'), (False, None), (None, None)])
def test_a_logout_says_it(home: Path, setting: object, said: str | None) -> None:
    """No other response does, nor does a logout of nobody."""
    with override_settings(COATCHECK={"HOME": home, "CLEAR_SITE_DATA": setting}):
        browser = Client()
        for path, expected in (("/put", None), ("/sign_in", None), ("/sign_out", said), ("/who", None)):
            answer = browser.get(path, {"name": "ann"})
            assert answer.headers.get("Clear-Site-Data") == expected, path


def test_what_cannot_be_said_is_refused(home: Path) -> None:
    """By the checks, too, which read the options."""
    refused = pytest.raises(ImproperlyConfigured, match=r"COATCHECK\['CLEAR_SITE_DATA'\]: clear_site_data is")
    with override_settings(COATCHECK={"HOME": home, "CLEAR_SITE_DATA": "everything"}), refused:
        get_options()
