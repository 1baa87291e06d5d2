"""Who may ask: the names of this server, pages of its own, and holders of the token. Around the whole app.

Against DNS rebinding, the Host header must hold an address, localhost, or a name that the owner gave. Against other
sites' pages, Origin must be that of the request, for WebSockets too, which browsers open across sites. The token comes
as `Authorization: Bearer`, or is given once to SESSION, for a cookie that stands for it.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtparse.serve.problems import Problem

COOKIE = "rtparse-session"
SESSION = "/api/session"
"""GET: 204 for who may come in, 401 for others. POST {"token": ...}: the same, and the cookie."""

OPEN = ("/healthz", "/page/")
"""What needs no token: nothing there is anybody's secret."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_MOST_SESSION_BYTES = 4096
_YEAR = 365 * 24 * 3600


class Guard:
    """ASGI middleware. token: None lets everyone in. hosts: names that the Host header may hold."""

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Iterable[str], login: str) -> None:
        """login: the page that asks for the token, HTML."""
        self._app = app
        self._token = token
        self._pass = "" if token is None else hmac.new(token.encode(), COOKIE.encode(), "sha256").hexdigest()
        self._hosts = frozenset(name.lower() for name in hosts) | {"localhost"}
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        answer = self._refused_address(headers, scope["scheme"])
        if answer is None and self._token is not None:
            answer = await self._without_token(scope, receive, headers, self._token)
        if answer is None and scope["type"] == "http" and scope["path"] == SESSION:
            answer = Response(status_code=204)
        # A Response answers handshakes of WebSockets as well.
        await (answer or self._app)(scope, receive, guarded)

    def _refused_address(self, headers: Headers, scheme: str) -> Response | None:
        host = headers.get("host", "")
        if not self._known(host):
            expected = "an address, localhost, or a name given by --allow-host"
            return Problem(421, "host", f"Host {host[:200]!r}", expected).answer()
        origin = headers.get("origin")
        # Without TLS of its own the server may be behind a proxy that has it.
        schemes = ("https",) if scheme in ("https", "wss") else ("http", "https")
        if origin is not None and origin.lower() not in [f"{each}://{host.lower()}" for each in schemes]:
            return Problem(403, "origin", f"Origin {origin[:200]!r}", f"a page of {host}").answer()
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode")
        if site not in ("none", "same-origin") and mode != "navigate":
            return Problem(403, "origin", f"a request from a page of another site ({site})", f"one of {host}").answer()
        return None

    def _known(self, host: str) -> bool:
        if "@" in host:
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name.rstrip(".") in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _without_token(self, scope: Scope, receive: Receive, headers: Headers, token: str) -> Response | None:
        """The answer to a request that does not show the token, or that comes to show it; None lets it pass."""
        path: str = scope["path"]
        if path.startswith(OPEN):
            return None
        http = scope["type"] == "http"
        if http and path == SESSION and scope["method"] == "POST":
            given = await _given_token(Request(scope, receive))
            return self._welcomed(scope) if _same(given, token) else _unauthorized()
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(credentials.strip(), token):
            return None
        if _same(Request({**scope, "type": "http"}).cookies.get(COOKIE, ""), self._pass):
            return None
        if http and path == "/":
            return Response(self._login, 401, media_type="text/html")
        return _unauthorized()

    def _welcomed(self, scope: Scope) -> Response:
        answer = Response(status_code=204)
        secure = scope["scheme"] == "https"
        answer.set_cookie(COOKIE, self._pass, max_age=_YEAR, httponly=True, secure=secure, samesite="strict")
        return answer


async def _given_token(request: Request) -> str:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_SESSION_BYTES:
                return ""
        given = json.loads(body)
    except (ClientDisconnect, ValueError, RecursionError):
        return ""
    token = given.get("token") if isinstance(given, dict) else None
    return token if isinstance(token, str) else ""


def _same(given: str, token: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


def _unauthorized() -> Response:
    got, expected = "no token, or a wrong one", "Authorization: Bearer TOKEN"
    return Problem(401, "token", got, expected, {"WWW-Authenticate": "Bearer"}).answer()
