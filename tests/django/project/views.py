"""Views that do with their session what they are told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model, login, logout, update_session_auth_hash
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from coatcheck.django import sessions_of


def untouched(_: HttpRequest) -> HttpResponse:
    """Does not use the session."""
    return HttpResponse("untouched")


def read(request: HttpRequest) -> HttpResponse:
    """All of it."""
    session = request.session
    data = dict(session.items())
    return JsonResponse(
        {"data": data, "sid": session.coat.sid, "principal": session.coat.principal, "pid": os.getpid()}
    )


def look(request: HttpRequest) -> HttpResponse:
    """Reads one key."""
    return JsonResponse({"value": request.session.get(request.GET["key"])})


def put(request: HttpRequest) -> HttpResponse:
    """Sets what the query says, as texts; with a pause between reading and writing."""
    request.session.keys()
    _pause(request)
    for key, value in request.GET.items():
        if key != "pause":
            request.session[key] = value
    return HttpResponse("stored")


def nest(request: HttpRequest) -> HttpResponse:
    """Changes a value in place."""
    request.session["cart"].append(request.GET["item"])
    return HttpResponse("stored")


def count(request: HttpRequest) -> HttpResponse:
    """Increments a key, appends to another."""
    request.session.increment("count")
    request.session.append("seen", request.GET["item"])
    return HttpResponse("counted")


def push(request: HttpRequest) -> HttpResponse:
    """Adds a message as any Django application does."""
    _pause(request)
    messages.success(request, request.GET["text"], extra_tags=request.GET.get("tags", ""))
    return HttpResponse("added")


def show(request: HttpRequest) -> HttpResponse:
    """Shows messages as any Django application does."""
    return JsonResponse({"messages": [[each.tags, each.message] for each in messages.get_messages(request)]})


def sign_in(request: HttpRequest) -> HttpResponse:
    """Logs a user in; ``key`` tells whether the session showed the key that it then has."""
    user = get_user_model().objects.get(username=request.GET["name"])
    _wait(request)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    _fail(request)
    return JsonResponse({"user": user.pk})


def sign_out(request: HttpRequest) -> HttpResponse:
    """Logs out."""
    logout(request)
    return HttpResponse("bye")


def who(request: HttpRequest) -> HttpResponse:
    """Who is signed in, as Django has it."""
    user = request.user
    return JsonResponse({"user": user.get_username() or None, "mark": request.session.get("mark"), "pid": os.getpid()})


def change_password(request: HttpRequest) -> HttpResponse:
    """As Django's own view does it."""
    request.user.set_password(request.GET["password"])
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse("changed")


def devices(request: HttpRequest) -> HttpResponse:
    """The sessions of the user."""
    return JsonResponse({"devices": [[each.handle, dict(each.meta)] for each in sessions_of(request.user)]})


def renew(request: HttpRequest) -> HttpResponse:
    """A new key, as a renewal has it: the old one works a while longer."""
    request.session.coat.rotate(grace=float(request.GET.get("grace", 10)))
    _wait(request)
    return HttpResponse("renewed")


def slow(request: HttpRequest) -> HttpResponse:
    """Has used the session, waits for a file to appear, and ends; ``write`` makes it write then."""
    request.session.keys()
    _wait(request)
    if "write" in request.GET:
        request.session["late"] = request.GET["write"]
        messages.info(request, "late")
    return HttpResponse("slow")


def fail(request: HttpRequest) -> HttpResponse:
    """Shows messages and writes, then fails: by an exception, or with the status that the query names."""
    list(messages.get_messages(request))
    request.session["failed"] = 1
    messages.info(request, "own")
    _fail(request)
    return HttpResponse("failed", status=int(request.GET["status"]))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Changes the session while it streams, and saves."""
    request.session["before"] = 1

    def pieces() -> Iterator[str]:
        yield "one "
        request.session["during"] = 2
        request.session.save()
        yield "two"

    return StreamingHttpResponse(pieces())


async def awho(request: HttpRequest) -> HttpResponse:
    """Who is signed in, for an asynchronous view."""
    user = await request.auser()
    return JsonResponse({"user": user.get_username() or None, "principal": (await request.session.acoat()).principal})


async def ashow(request: HttpRequest) -> HttpResponse:
    """Shows messages in an asynchronous view; twice, as a template may."""
    found = messages.get_messages(request)
    shown = [str(each) async for each in found]
    return JsonResponse({"messages": shown, "again": [str(each) for each in found]})


async def anote(request: HttpRequest) -> HttpResponse:
    """Asynchronous: reads, writes and answers with what there is."""
    session = request.session
    await session.aload() if session.loaded is None else None
    session["note"] = request.GET["text"]
    await session.aincrement("notes")
    return JsonResponse({"notes": session["notes"]})


def _wait(request: HttpRequest) -> None:
    """Touch the file ``began``, and wait for the file ``go``, where the query names them."""
    if "began" not in request.GET:
        return
    Path(request.GET["began"]).touch()
    end = time.monotonic() + 20
    while not Path(request.GET["go"]).exists():
        if time.monotonic() > end:
            msg = "nobody said go"
            raise TimeoutError(msg)
        time.sleep(0.005)


def _pause(request: HttpRequest) -> None:
    time.sleep(float(request.GET.get("pause", 0)))


def _fail(request: HttpRequest) -> None:
    if "raise" in request.GET:
        msg = "as it was told to"
        raise LookupError(msg)


VIEWS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        untouched,
        read,
        look,
        put,
        nest,
        count,
        push,
        show,
        sign_in,
        sign_out,
        who,
        change_password,
        devices,
        renew,
        slow,
        fail,
        stream,
        awho,
        ashow,
        anote,
    )
}
