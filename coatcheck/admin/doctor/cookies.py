"""Whether the cookie of an application keeps the token safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from coatcheck.admin.reading.findings import Finding
from coatcheck.web.secure import as_secure

if TYPE_CHECKING:
    from coatcheck.admin.applications import Application


def findings(app: Application) -> Iterator[Finding]:
    """What is unsafe about the cookie of an application."""
    rules = app.cookie
    if rules is None:
        return
    if not rules.secure:
        yield Finding(
            "cookie-not-secure",
            "critical",
            f"the cookie {rules.name} of {app.name} is not Secure: it is sent in the clear over http (ASVS 3.3.1)",
            "leave COATCHECK_SECURE (https_only, SESSION_COOKIE_SECURE) on; behind a proxy that ends TLS use ProxyFix",
        )
    if not rules.httponly:
        what = f"the cookie {rules.name} of {app.name} is not HttpOnly: scripts can read the token (ASVS 3.3.4)"
        yield Finding("cookie-not-httponly", "critical", what, "leave SESSION_COOKIE_HTTPONLY on")
    if rules.samesite in {None, "None"}:
        what = f"the cookie {rules.name} of {app.name} is sent with requests of other sites (ASVS 3.3.2)"
        yield Finding("cookie-cross-site", "warning", what, "use SameSite=Lax, or see that every form has a CSRF token")
    if rules.secure and not str(rules.name).lower().startswith("__host-"):
        yield Finding(
            "cookie-plantable",
            "warning",
            f"the cookie of {app.name} is named {rules.name}: subdomains and plain http can plant one (ASVS 3.3.3)",
            "leave name, Domain and Path as they are by default (__Host-id), unless subdomains have to share it",
        )
    if rules.domain:
        what = f"the cookie {rules.name} of {app.name} goes to all subdomains of {rules.domain}"
        yield Finding("cookie-domain", "warning", what, "leave Domain out, unless they have to share sessions")


def in_environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What the environment makes of all applications."""
    text = environ.get("COATCHECK_SECURE", "").strip()
    if text and not as_secure(text):
        what = f"COATCHECK_SECURE is {text!r} here: cookies are not Secure (ASVS 3.3.1)"
        yield Finding("cookie-not-secure", "critical", what, "unset it, but where you develop")
