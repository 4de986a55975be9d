"""The names of messages, on which Thespian dispatches."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import Counter

import coatcheck
import coatcheck.messages
from coatcheck import errors
from coatcheck.messages import Message, QuietRequest, Reply, Request
from coatcheck.store import contract

BASES = {Message, QuietRequest, Reply, Request}


def modules() -> list[str]:
    """The conversations."""
    return [each.name for each in pkgutil.iter_modules(coatcheck.messages.__path__, "coatcheck.messages.")]


def messages() -> list[type[Message]]:
    """Every message class there is, wherever it is."""
    found = []
    for module in map(importlib.import_module, modules()):
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Message) and value.__module__ == module.__name__:
                found.append(value)
    return found


def test_every_message_is_exported_under_its_own_name() -> None:
    """A message that is not in ``__all__`` could not be received by anyone."""
    exported = {getattr(coatcheck.messages, name) for name in coatcheck.messages.__all__}

    assert set(messages()) == exported


def test_names_are_unique_in_the_whole_project() -> None:
    """No two messages share a name, and none shares one with an error or a part of the store's contract."""
    names = Counter(each.__name__ for each in messages())
    others = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    others |= {
        name for name, value in inspect.getmembers(contract, inspect.isclass) if value.__module__ == contract.__name__
    }
    others |= set(coatcheck.__all__)

    assert [name for name, count in names.items() if count > 1] == []
    assert sorted(set(names) & others) == []


def test_every_field_is_explained() -> None:
    """Each field has a docstring line under it, and each class says what it is for."""
    for each in messages():
        lines = [line.strip() for line in inspect.getsource(each).splitlines()]
        for name in each.__annotations__:
            at = next(number for number, line in enumerate(lines) if line.startswith(f"{name}:"))
            assert lines[at + 1].startswith('"""'), f"{each.__name__}.{name}"
        assert each.__doc__, each
        if issubclass(each, Request) and each not in BASES:
            assert each.__doc__.startswith("Message to ask "), each


def test_the_verbs_that_may_be_told_stay_silent_by_default() -> None:
    """Exactly these six answer only with ``confirm``: a reply to a ``tell`` would surface in the next ``ask``."""
    quiet = {each.__name__ for each in messages() if issubclass(each, QuietRequest)} - {"QuietRequest"}

    assert quiet == set("SaveSession DeleteSession AddFlash TouchSession CleanupExpired RevokeSessions".split())
