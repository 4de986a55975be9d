"""SessionMiddleware: Django's, with the promises about cookies and outages that Django's cannot keep.

``"coatcheck.django.middleware.SessionMiddleware"`` in the place of ``"django.contrib.sessions.middleware...."``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.exceptions import ImproperlyConfigured
from django.utils.cache import patch_vary_headers

from coatcheck.django.config import get_client, get_options
from coatcheck.django.cookie import get_rules, presented, remove_cookie, remove_others, set_cookie
from coatcheck.django.current import current
from coatcheck.django.failures import answer_to, is_answered
from coatcheck.django.session import DjangoSession
from coatcheck.django.sessions import SessionStore as Store
from coatcheck.errors import CoatcheckError, SessionMissing
from coatcheck.store.gate import GateBusy
from coatcheck.web.answer import max_age, outlives_its_cookie, token_action
from coatcheck.web.clearing import CLEAR_SITE_DATA
from coatcheck.web.once import OVER_HTTP
from coatcheck.web.opening import open_several
from coatcheck.web.secure import is_loopback

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

_LONGEST_AGENT: Final = 400
_log = logging.getLogger("coatcheck.django")


class SessionMiddleware(DjangoSessionMiddleware):
    """Opens the session of a request, saves it, and tells the browser.

    A response only replaces the key that it owns: a session cookie is sent when the key is new or lives otherwise, and
    removed when its session is gone, but not where another response has just brought a newer one. A session that ended
    while the request ran stays ended, and the request is answered as usual. A store that cannot be asked is a 503
    (template ``503.html`` where there is one), and no cookie is touched.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Raises ImproperlyConfigured for a session engine of something else, and for settings that cannot work."""
        super().__init__(get_response)
        if not issubclass(self.SessionStore, Store):
            msg = (
                f"coatcheck.django.middleware.SessionMiddleware needs SESSION_ENGINE = 'coatcheck.django.sessions', "
                f"not {settings.SESSION_ENGINE!r}"
            )
            raise ImproperlyConfigured(msg)
        get_client()
        get_rules()

    # The request -----------------------------------------------------------------------------------------------

    def process_request(self, request: HttpRequest) -> None:
        """``request.session``, which opens nothing before it is used."""
        tokens, more = presented(request, str(get_rules().name))
        session = self._store_for(request, tokens[0] if tokens else None)
        adopter = get_options().adopter
        if adopter is not None:
            session.origin = adopter.origin_of(get_client(), request.META.get("HTTP_COOKIE"), get_rules().name)
        if len(tokens) > 1 and session.origin is None:
            session.adopt(open_several(session.opened, tokens, str(get_rules().name), _log, more=more))
        request.session = session

    def _store_for(self, request: HttpRequest, token: str | None) -> Store:
        agent = request.META.get("HTTP_USER_AGENT", "")[:_LONGEST_AGENT]
        session: Store = self.SessionStore(token)
        session.introduce(token, request.META.get("REMOTE_ADDR") or None, {"user_agent": agent})
        session.cookie_is_guarded = True
        current.set(session)
        return session

    def __call__(self, request: HttpRequest) -> Any:
        """One request. What ends it without an answer, as the time limit of a worker does, takes everything back."""
        try:
            return super().__call__(request)
        except BaseException:
            session = _loaded(request)
            if session is not None:
                with suppress(CoatcheckError):
                    session.abandon()
            current.set(None)
            raise

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """The same for asyncio, on the event loop, which it does not block. Django cancels it when nobody waits."""
        try:
            return await self._answer(request)
        except BaseException:
            session = _loaded(request)
            if session is not None:
                with suppress(CoatcheckError):
                    await session.aabandon()
            raise

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        if len(presented(request, str(get_rules().name))[0]) > 1:
            await get_client().runner.read(partial(self.process_request, request))
            current.set(request.session)
        else:
            self.process_request(request)
        if request.session.origin is not None:  # so that nothing has to be awaited when the view uses it
            with suppress(CoatcheckError):  # which is said when it does
                request.session.adopt(await request.session.aload())
        response = await self.get_response(request)
        session = getattr(request, "session", None)
        if isinstance(session, Store) and session.loaded is None and not settings.SESSION_SAVE_EVERY_REQUEST:
            response = self.process_response(request, response)
        else:
            response = await get_client().runner.write(partial(self.process_response, request, response))
        current.set(None)
        return response

    # The response ----------------------------------------------------------------------------------------------

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Save what is to be saved, then tell the browser.

        A response of 500 or above saves nothing, and the messages that it has shown are shown again.
        """
        session = getattr(request, "session", None)
        if not isinstance(session, Store):
            return super().process_response(request, response)
        current.set(None)
        if is_answered(session, response):
            response = answer_to(request, session.failure, response)
        # A stream that reads the session when the headers have left: a cache would show it to whoever comes next.
        varies = session.accessed or (response.streaming and not response.has_header("Content-Length"))
        if session.loaded is None and not (settings.SESSION_SAVE_EVERY_REQUEST and session.session_key):
            return _varied(response, by_cookie=varies)
        try:
            coat = session.loaded or session.coat
            self._save(session, coat, response)
        except CoatcheckError as error:
            return self._failed(request, session, response, error)
        varies = self._send_cookie(request, session, coat, response) or varies
        clearing = get_options().clearing
        if coat.logged_out and clearing is not None:
            response.headers.setdefault(CLEAR_SITE_DATA, clearing)
        coat.seal()
        return _varied(response, by_cookie=varies)

    def _save(self, session: Store, coat: DjangoSession, response: HttpResponseBase) -> None:
        if response.status_code >= 500:
            coat.abandon()
        elif session.modified:
            coat.keeps = session.session_key is not None  # what has a key is stored, even without data
            session.commit()
        else:
            coat.modified = False  # as the application says, who has set it to False
            session.commit()

    def _failed(
        self, request: HttpRequest, session: Store, response: HttpResponseBase, error: CoatcheckError
    ) -> HttpResponseBase:
        """Nothing was stored, so the response, which says otherwise, must not leave."""
        if isinstance(error, GateBusy):
            raise error
        if session.loaded is not None:
            session.loaded.abandon()
        if isinstance(error, SessionMissing):
            msg = "The request's session was deleted before the request completed."
            raise SessionInterrupted(msg) from error
        return _varied(answer_to(request, error, response), by_cookie=True)

    def _send_cookie(
        self, request: HttpRequest, session: Store, coat: DjangoSession, response: HttpResponseBase
    ) -> bool:
        def refreshes() -> bool:
            # A refresh that a login overtakes brings the old key back. So it has to be asked for, or be needed.
            if coat.lives_otherwise or not settings.SESSION_SAVE_EVERY_REQUEST:
                return coat.lives_otherwise
            return get_options().refresh or outlives_its_cookie(coat, get_client().clock.now())

        action = token_action(coat, refreshes)
        if action == "leave":
            return False
        rules = get_rules()
        if action == "set":
            until_closed = session.get_expire_at_browser_close()
            age = None if until_closed else max_age(coat, get_client().clock.now())
            set_cookie(response, rules, str(coat.token), age)
            if rules.secure and not request.is_secure() and not is_loopback(request.META.get("HTTP_HOST", "")):
                OVER_HTTP.warn(_log, "SECURE_PROXY_SSL_HEADER behind a proxy", "COATCHECK = {'SECURE': False, ...}")
        else:
            remove_cookie(response, rules)
        if session.origin is not None:
            remove_others(response, session.origin.removals(str(rules.name), rules.domain, rules.path))
        if get_options().no_store:
            response.headers["Cache-Control"] = "no-store"
        return True

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """The answer to a store that cannot be asked, and to a conflict; None for everything else."""
        session = getattr(request, "session", None)
        if isinstance(session, Store) and isinstance(exception, CoatcheckError):
            return answer_to(request, exception, None, or_raise=False)
        return None


def _loaded(request: HttpRequest) -> DjangoSession | None:
    """The session behind that of the request, if it was used."""
    session = getattr(request, "session", None)
    return session.loaded if isinstance(session, Store) else None


def _varied(response: HttpResponseBase, *, by_cookie: bool) -> HttpResponseBase:
    if by_cookie:
        patch_vary_headers(response, ("Cookie",))
    return response
