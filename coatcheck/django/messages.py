"""The storage of messages: ``MESSAGE_STORAGE = "coatcheck.django.messages.MessageStorage"``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Final

from django.contrib.messages.constants import DEFAULT_TAGS, INFO
from django.contrib.messages.storage.base import BaseStorage, Message
from django.core.exceptions import ImproperlyConfigured
from django.utils.safestring import SafeData, SafeString

from coatcheck.django.sessions import SessionStore
from coatcheck.flashes import FlashMessage

try:
    from markupsafe import Markup
except ModuleNotFoundError as error:
    if error.name != "markupsafe":
        raise
    msg = "coatcheck.django.messages needs MarkupSafe: pip install 'coatcheck[django]'"
    raise ModuleNotFoundError(msg, name="markupsafe") from error

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

_NUMBERS: Final = {name: number for number, name in DEFAULT_TAGS.items()}


class MessageStorage(BaseStorage):
    """Messages in the mailbox of the session.

    Adding and taking are atomic: messages of parallel requests are all shown, none twice. A message is taken by the
    request that iterates over the storage, by ``for`` or ``async for``; a response of 500 or above gives it back.
    Flashes of applications in other frameworks on the same store are messages here, and the other way round.
    """

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Raises ImproperlyConfigured where the request has no session of coatcheck's."""
        session = getattr(request, "session", None)
        if session is None:
            msg = (
                "The session-based temporary message storage requires session middleware to be installed, and come "
                "before the message middleware in the MIDDLEWARE list."
            )
            raise ImproperlyConfigured(msg)
        if not isinstance(session, SessionStore):
            msg = "coatcheck.django.messages.MessageStorage needs SESSION_ENGINE = 'coatcheck.django.sessions'"
            raise ImproperlyConfigured(msg)
        self._session = session
        self._seen: list[Message] | None = None
        self._taken = False
        self._answered = False
        super().__init__(request, *args, **kwargs)

    def __iter__(self) -> Iterator[Message]:
        """All messages, which takes them."""
        if not (self._taken or self._answered):
            self._receive(self._session.coat.take_flashes())
        messages: Iterator[Message] = super().__iter__()
        return messages

    async def __aiter__(self) -> AsyncIterator[Message]:
        """The same in an asynchronous view, whose event loop is not blocked; a ``for`` afterwards has the same."""
        if not (self._taken or self._answered):
            session = await self._session.acoat()
            self._receive(await session.atake_flashes())
        for message in self:
            yield message

    def _receive(self, flashes: list[FlashMessage]) -> None:
        taken = [message_of(flash) for flash in flashes]
        self._taken = True
        # What was looked at before is taken now, or was taken by another request.
        own = [] if self._seen is not None else getattr(self, "_loaded_data", [])
        self._loaded_data = [*taken, *own]

    def _get(self, *_: Any, **__: Any) -> tuple[list[Message], bool]:
        """The messages in the mailbox; looking does not take."""
        if self._answered:
            return [], True  # the response has left: whoever looks now, as tests do, asks what this request has added
        self._seen = [message_of(flash) for flash in self._session.coat.flashes()]
        return self._seen, True

    def _store(self, messages: list[Message], *_: Any, **__: Any) -> list[Message]:
        """Append to the mailbox, which the session does when it is saved."""
        for message in messages:
            flash = flash_of(message)
            self._session.coat.flash(flash.message, flash.level)
        if messages:
            self._session.modified = True
        return []

    def update(self, response: HttpResponseBase) -> list[Message]:
        """Append what was added and not shown; give back what was shown by a response that failed."""
        if self._answered:
            return []
        if response.status_code >= 500 and self._taken:
            self._session.coat.give_back()
        self._answered = True
        self._prepare_messages(self._queued_messages)
        return self._store(self._queued_messages)


def flash_of(message: Message) -> FlashMessage:
    """A message as a flash: its level is ``"extra tags level"``, as in Django's own ``message.tags``."""
    level = DEFAULT_TAGS.get(message.level, str(message.level))
    tags = str(message.extra_tags) if message.extra_tags else ""
    text = str(message.message)
    if isinstance(message.message, SafeData):
        text = Markup(text)  # noqa: S704 - it was marked as safe
    return FlashMessage(f"{tags} {level}" if tags else level, str.__str__(text) if type(text) is not Markup else text)


def message_of(flash: FlashMessage) -> Message:
    """A flash as a message. A level that is none of Django's is one of INFO, and its text the extra tags."""
    tags, _, name = flash.level.rpartition(" ")
    level = _NUMBERS.get(name)
    if level is None and name.isdecimal():
        level = int(name)
    if level is None:
        level, tags = INFO, flash.level
    text = flash.message
    message = Message(level, SafeString(text) if hasattr(text, "__html__") else text, tags)
    message.title = flash.title
    return message
