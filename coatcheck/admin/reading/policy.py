"""The session policy in words, with the numbers of ASVS 5.0 and NIST SP 800-63B-4 that it answers (ASVS 7.1.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from coatcheck.admin.reading.words import duration, size
from coatcheck.lifetimes import PRESETS, Lifetimes
from coatcheck.store.token_table import ENDED_KEPT

if TYPE_CHECKING:
    from coatcheck.cookies import CookieRules
    from coatcheck.settings import Settings
    from coatcheck.store.lmdb import LmdbStore
    from coatcheck.store.policy import Policy

STANDARDS: Final = "OWASP ASVS 5.0 and NIST SP 800-63B-4"

_LEVELS: Final = ("nist-aal3", "nist-aal2", "nist-aal1")


@dataclass(frozen=True)
class Clause:
    """One rule that is in force."""

    title: str
    """What it is about."""

    text: str
    """The rule, as a sentence or a few."""

    asvs: tuple[str, ...] = ()
    """The requirements of ASVS 5.0 that it answers."""

    nist: tuple[str, ...] = ()
    """The sections of NIST SP 800-63B-4."""

    whose: str = "coatcheck"
    """Who sees to it: ``coatcheck``, or the ``application``, where this is what it has to do."""


@dataclass(frozen=True)
class InForce:
    """What the clauses are made of: the settings, and what the store really has."""

    policy: Policy
    """The limits that are kept in the store."""

    anonymous: Lifetimes
    """Of new sessions without a user."""

    signed_in: Lifetimes
    """Of new sessions with one."""

    live: Mapping[tuple[bool, Lifetimes], int]
    """How many live sessions are signed in or not, and have which lifetimes."""

    encrypted: bool
    """Whether the store is."""

    secrets: int
    """How many server secrets are valid."""

    cookie: CookieRules | None = None
    """How the cookie is written; None where it is not known."""

    application: str | None = None
    """The application whose settings these are; None: those of the environment."""


def in_force(store: LmdbStore, settings: Settings, **known: Any) -> InForce:
    """What is in force in a store, for clients with these settings. Raises what the store raises."""
    return InForce(
        policy=store.environment.policy,
        anonymous=settings.anonymous,
        signed_in=settings.signed_in,
        live=store.lifetimes(),
        encrypted=bool(store.stats().encryption),
        secrets=len(store.keyring),
        **known,
    )


def clauses(found: InForce) -> list[Clause]:
    """All of the policy, in the order in which an auditor asks for it."""
    return [
        *_lifetimes(found),
        _beginning(),
        *_parallel(found),
        *_tokens(found),
        *_endings(),
        *_cookies(found.cookie),
        *_kept(found),
        *_duties(),
    ]


def as_markdown(home: str, when: str, found: Iterable[Clause]) -> str:
    """The document, as Markdown that reads well as text."""
    lines = [f"# Session policy of {home}", "", f"As in force on {when}; numbers are those of {STANDARDS}.", ""]
    for each in found:
        numbers = "; ".join(
            part
            for part in (
                f"ASVS {', '.join(each.asvs)}" if each.asvs else "",
                f"NIST {', '.join(each.nist)}" if each.nist else "",
            )
            if part
        )
        whose = "" if each.whose == "coatcheck" else " (duty of the application)"
        lines += [f"## {each.title}{whose}", "", each.text, ""]
        if numbers:
            lines += [f"*{numbers}*", ""]
    return "\n".join(lines)


def as_rows(found: Iterable[Clause]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(each) for each in found]


def level_of(lifetimes: Lifetimes) -> str:
    """The highest authentication assurance level of NIST whose time limits these keep."""
    for name in _LEVELS:
        limit = PRESETS[name]
        if _within(lifetimes.idle, limit.idle) and _within(lifetimes.absolute, limit.absolute):
            return name.removeprefix("nist-").upper()
    return "none"


def _within(have: float | None, limit: float | None) -> bool:
    return limit is None or (have is not None and have <= limit)


def _in_words(lifetimes: Lifetimes) -> str:
    idle = f"{duration(lifetimes.idle)} without use" if lifetimes.idle else "no inactivity limit"
    absolute = f"{duration(lifetimes.absolute)} in any case" if lifetimes.absolute else "no overall limit"
    return f"{idle}, and {absolute}"


def _lifetimes(found: InForce) -> Iterator[Clause]:
    source = f"the application {found.application}" if found.application else "the settings of this environment"
    level = level_of(found.signed_in)
    reach = f"These are within the limits of {level}" if level != "none" else "These exceed the limits of all levels"
    yield Clause(
        "Lifetimes",
        f"By {source}, a session of a signed-in user ends after {_in_words(found.signed_in)}; a session without a user "
        f"after {_in_words(found.anonymous)}. {reach} of NIST SP 800-63B-4. A session is refused from its deadline on, "
        f"whether or not it has been removed yet; the overall limit begins at the login and no use moves it. Use is "
        f"recorded at most every {duration(found.signed_in.touch_interval)}, so a session may end that much early, "
        f"never late.",
        ("7.1.1", "7.3.1", "7.3.2"),
        ("2.1.3", "2.2.3", "2.3.3", "5.2"),
    )
    yield _deviations(found)


def _deviations(found: InForce) -> Clause:
    usual = {False: found.anonymous, True: found.signed_in}
    total = sum(found.live.values())
    others = [(kind, each, count) for (kind, each), count in found.live.items() if each != usual[kind]]
    text = f"Of {total} live sessions {total - sum(count for *_, count in others)} have these lifetimes."
    for signed_in, each, count in sorted(others, key=lambda row: -row[2])[:10]:
        whom = "of signed-in users" if signed_in else "without a user"
        text += f" {count} sessions {whom} have others: {_in_words(each)} ({level_of(each)})."
    if others:
        text += " Deviations have to be justified in the documentation of the application."
    return Clause("Deviations in use", text, ("7.1.1",), ("2.1.3", "2.2.3", "2.3.3"))


def _beginning() -> Clause:
    text = "No session begins, and no cookie is set, before the application stores something or signs a user in."
    return Clause("Beginning", text, ("7.6.2",))


def _parallel(found: InForce) -> Iterator[Clause]:
    most, action = found.policy.max_sessions_per_principal, found.policy.on_principal_limit
    if not most:
        text = "A user may have any number of sessions at the same time."
    elif action == "refuse":
        text = f"A user may have {most} sessions at the same time; a further login is refused."
    else:
        text = f"A user may have {most} sessions at the same time; a further login ends the oldest one."
    yield Clause("Parallel sessions", text, ("7.1.2",))


def _tokens(found: InForce) -> Iterator[Clause]:
    yield Clause(
        "Tokens",
        "The browser holds a reference token: 256 bits from the system's cryptographic random number generator, with a "
        "64-bit MAC. It carries no data. A token that was not issued, or is forged, is refused and never adopted. At "
        "rest there is only a keyed hash of it. Tokens are in no URL, log, error or report; sessions are called by a "
        "handle that opens nothing.",
        ("7.2.1", "7.2.2", "7.2.3", "14.2.1", "16.2.5"),
        ("5.1",),
    )
    yield Clause(
        "New token at login",
        "A login gives the session a new token, ends the old one at once without any grace, and starts the overall "
        "limit anew. A session of another user loses its data first.",
        ("7.2.4",),
        ("5.1", "5.2"),
    )
    yield Clause(
        "Server secrets",
        f"{found.secrets} server secret{'s are' if found.secrets != 1 else ' is'} valid. Tokens made under a secret "
        f"work as long as it is; 'coatcheck rotate-secret' replaces it without signing anybody out.",
        ("11.1.1", "13.3.4"),
    )


def _endings() -> Iterator[Clause]:
    yield Clause(
        "Ending sessions",
        "After logout, revocation or expiry no request brings a session back, on any worker: the end is a tombstone "
        f"that is kept for {duration(ENDED_KEPT / 1e6)}, and what is written to it is refused. Administrators end one "
        "session or all of a user ('coatcheck revoke', the dashboard); the application ends all of a user "
        "(client.revoke), and all but the current one (session.revoke_others).",
        ("7.4.1", "7.4.2", "7.4.3", "7.4.5"),
        ("5.1",),
    )
    yield Clause(
        "Audit",
        "Beginning for a user, login, rotation and every end of a session is recorded with its time, handle and user, "
        "and with who did it where that was an administrator; forged, unknown and retired tokens by peer and minute. "
        "Two rings of fixed size hold the records, so that invented tokens cannot push the history out.",
        ("7.4.5", "16.2.1", "16.3.1"),
    )


def _cookies(cookie: CookieRules | None) -> Iterator[Clause]:
    numbers = ("3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.3.5")
    if cookie is None:
        text = (
            "The rules of the cookie are the application's; --app names one to read them from. By default it is named "
            "__Host-id, and is Secure, HttpOnly, SameSite=Lax and without a Domain; its value has 54 characters."
        )
        yield Clause("Cookie", text, numbers, ("5.1.1",))
        return
    kept = [
        "Secure" if cookie.secure else "NOT Secure",
        "HttpOnly" if cookie.httponly else "NOT HttpOnly",
        f"SameSite={cookie.samesite}" if cookie.samesite else "WITHOUT SameSite",
        f"Domain={cookie.domain}" if cookie.domain else "no Domain (this host alone)",
        f"Path={cookie.path}",
    ]
    text = f"The cookie is named {cookie.name}: {', '.join(kept)}{', Partitioned' if cookie.partitioned else ''}."
    yield Clause("Cookie", text, numbers, ("5.1.1",))


def _kept(found: InForce) -> Iterator[Clause]:
    policy = found.policy
    sealed = (
        "is encrypted, each value by itself under a key of its session (AEAD)"
        if found.encrypted
        else "is readable for whoever can read the state directory, which is for one user of the system alone (0700)"
    )
    yield Clause(
        "What is kept",
        f"Session data {sealed}. A session holds at most {size(policy.max_session_bytes)} and {policy.max_flashes} "
        f"messages. Data is decoded without executing anything: there is no pickle, neither at rest nor between "
        f"processes, which authenticate every message they exchange.",
        ("1.5.2", *(("11.3.2",) if found.encrypted else ()), "13.2.1"),
    )
    loses = (
        "nothing, as each write waits for the disk"
        if policy.durability == "commit"
        else "at most what was written in the last second before the last sync point"
    )
    yield Clause(
        "Durability",
        f"What was confirmed survives the end of any process. A power loss costs {loses}; a revocation that is lost so "
        f"has to be given again. A restored backup brings back sessions that have ended since.",
    )


def _duties() -> Iterator[Clause]:
    own = "application"
    yield Clause(
        "Re-authentication",
        "Sensitive actions ask for a login that is not long ago: require_recent_auth(max_age) does.",
        ("7.5.1", "7.5.3"),
        ("5.2",),
        own,
    )
    yield Clause(
        "What users see",
        "Users can see their own sessions and end them: session.other_sessions(), revoke_other(handle), "
        "revoke_others(). Every page that needs a login has a visible logout.",
        ("7.4.4", "7.5.2"),
        (),
        own,
    )
    yield Clause(
        "Accounts that are closed, and changed factors",
        "When an account is disabled or deleted all of its sessions are ended (client.revoke(user)); after a change of "
        "password or factor the others are, or their end is offered.",
        ("7.4.2", "7.4.3"),
        (),
        own,
    )
    yield Clause(
        "Federated login",
        "Where an identity provider signs users in, these lifetimes are coordinated with its own, and a logout there "
        "ends the sessions here.",
        ("7.1.3", "7.6.1"),
        (),
        own,
    )
