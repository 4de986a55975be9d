"""Errors between processes: what goes wrong in an actor is raised where it was asked for, as the same class."""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Any, Final

from coatcheck import errors
from coatcheck.errors import BadToken, CoatcheckError, SessionConflict, SessionMissing, StoreUnavailable
from coatcheck.messages import Reply, RequestFailed, SaveConflicted, SessionAbsent

INTERNAL: Final = "Internal"
"""The kind of a mistake of coatcheck's own."""

UNRECOGNIZED: Final = "Unrecognized"
"""The kind of a message that the actor has no handler for."""

_PLAIN: Final = (str, int, float, bool, bytes, type(None))
_BUILT_IN: Final = {each.__name__: each for each in (TypeError, ValueError, NotImplementedError)}


def place_of(error: BaseException) -> str:
    """Class and place of an error, such as ``KeyError at verbs.py:71``: what may be logged of one."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def is_answer(error: BaseException) -> bool:
    """Whether an error is one that the contract foresees, rather than a mistake of coatcheck's own."""
    return isinstance(error, (CoatcheckError, TypeError, ValueError, NotImplementedError))


def reply_of(error: BaseException, request_id: bytes) -> Reply:
    """What to answer to a request that ended in this error."""
    if isinstance(error, SessionMissing):
        return SessionAbsent(request_id=request_id, reason=error.reason)
    if isinstance(error, SessionConflict):
        return SaveConflicted(request_id=request_id, expected=error.expected, found=error.found, text=str(error))
    kind = _kind_of(error)
    if kind is None:
        return RequestFailed(request_id=request_id, kind=INTERNAL, text=place_of(error), evidence={})
    evidence = {name: value for name, value in vars(error).items() if type(value) in _PLAIN}
    return RequestFailed(request_id=request_id, kind=kind, text=str(error), evidence=evidence)


def _kind_of(error: BaseException) -> str | None:
    """The nearest class that the other side knows."""
    for each in type(error).__mro__:
        if _class_named(each.__name__) is each:
            return each.__name__
    return None


def _class_named(kind: str) -> type[Exception] | None:
    found: Any = getattr(errors, kind, None) or _BUILT_IN.get(kind)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def error_of(reply: Reply) -> Exception | None:
    """The error that a reply stands for; None for one that is no failure."""
    if isinstance(reply, SessionAbsent):
        return BadToken() if reply.reason == "forged" else SessionMissing(reply.reason)
    if isinstance(reply, SaveConflicted):
        return SessionConflict(reply.expected, reply.found, reply.text)
    if not isinstance(reply, RequestFailed):
        return None
    cls = _class_named(reply.kind)
    if cls is None:
        if reply.kind == UNRECOGNIZED:
            return StoreUnavailable(f"{reply.text}: restart the actor system with the version that this process runs")
        return StoreUnavailable(f"the actor made a mistake ({reply.text}): its log says more")
    # Not by calling the class: most build their text from other arguments.
    error = cls.__new__(cls, reply.text)
    error.args = (reply.text,)
    vars(error).update(reply.evidence)
    return error
