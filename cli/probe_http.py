"""The part of a probe that any web client could do: the name, and who answers plain HTTP."""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import evolve, frozen

from cli import tls_line
from cli.output import printable
from cli.wire import is_web_page
from stores.errors import UserFacingError

if TYPE_CHECKING:
    from stores.target import Target

EXCERPT_CHARACTERS = 120
_MAX_BYTES = 65_536
#: What answers for a proxy when nothing behind it does.
_NOBODY_BEHIND = (502, 503, 504)


@frozen(kw_only=True)
class Looked:
    """What one step saw, and what to do if it was not as it should be.

    Args:
        ours: Whether it was surely a gateway of ours that answered.
        by_another: Whether something else did.
        certificate: What was shown there, DER; None where nothing was.
    """

    good: bool
    took_ms: int
    saw: str
    remedy: str | None = None
    ours: bool = False
    by_another: bool = False
    certificate: bytes | None = None


def look_up(host: str, *, timeout_s: float) -> Looked | None:
    """Resolve a name; None for an address, which needs none."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        return None
    started = time.monotonic()
    found: list[str] = []
    why: list[str] = []

    def resolve() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            why.append(error.strerror or str(error))
        else:
            found.extend(dict.fromkeys(str(address[0]) for *_, address in answers))

    # A resolver knows no deadline; a thread that hangs in it does not keep the program.
    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(timeout_s)
    took_ms = _since(started)
    if found:
        return Looked(good=True, took_ms=took_ms, saw=f"{host} is {', '.join(found)}")
    reason = why[0] if why else f"no answer within {timeout_s:g} s"
    return Looked(
        good=False,
        took_ms=took_ms,
        saw=f"{host} has no address ({reason})",
        remedy=f"check the name, and what knows it here: `getent hosts {host}`",
    )


def ask_healthz(
    target: Target, headers: tuple[tuple[str, str], ...], *, timeout_s: float, local: bool = False
) -> Looked:
    """Ask ``/healthz`` at a target, and tell whether a gateway answered or who else.

    Args:
        local: Whether this machine's own gateway is meant, so that no proxy is in between.
    """
    started = time.monotonic()
    certificate: bytes | None = None
    parts = urlsplit(target.url)
    path = f"{parts.path.rstrip('/')}/healthz"
    connection = http.client.HTTPConnection(target.dial_host, target.port, timeout=timeout_s)
    try:
        plain = socket.create_connection((target.dial_host, target.port), timeout=timeout_s)
        connection.sock = plain
        if target.secure:
            connection.sock = secure = tls_line.encrypt(plain, target)
            certificate = secure.getpeercert(binary_form=True)
        connection.putrequest("GET", path, skip_host=True)
        for name, value in (("Host", parts.netloc), ("Accept", "application/json"), *headers):
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read(_MAX_BYTES)
    except UserFacingError as error:
        return Looked(good=False, took_ms=_since(started), saw=error.problem, remedy=error.remedy)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Looked(
            good=False,
            took_ms=_since(started),
            saw=f"GET {path} was not answered with HTTP ({printable(why, limit=80)})",
            remedy=_HERE,
        )
    finally:
        connection.close()
    found = _judged(path, response, body, _since(started))
    if local and found.by_another:
        found = evolve(found, remedy=_HERE)
    return evolve(found, certificate=certificate)


_HERE = "see what listens there with `openclaw gateway status`"


def _judged(path: str, response: http.client.HTTPResponse, body: bytes, took_ms: int) -> Looked:
    server = printable(response.getheader("server") or "", limit=60)
    by = f" from {server}" if server else ""
    ours = response.status == 200 and _is_live(body)
    saw = f"GET {path}: HTTP {response.status}{by}"
    if ours:
        return Looked(good=True, took_ms=took_ms, saw=f"{saw}, a gateway that is live", ours=True)
    if response.status == 400 and tls_line.wants_tls(body):
        remedy = "give the address with `--url` as it is meant: `wss://` in place of `ws://`"
        return Looked(good=False, took_ms=took_ms, saw=f"{saw}: the port speaks TLS", remedy=remedy)
    told = _excerpt(body)
    told = " (a web page)" if is_web_page(told) else f": {told}" if told else ""
    return Looked(
        good=False,
        took_ms=took_ms,
        saw=f"{saw}, which is no gateway's answer{told}",
        remedy=_remedy(response.status, printable(response.getheader("location") or "", limit=200)),
        by_another=True,
    )


def _is_live(body: bytes) -> bool:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("ok") is True and said.get("status") == "live"


def _remedy(status: int, location: str) -> str:
    if status in _NOBODY_BEHIND:
        return (
            "the proxy answers for itself, for nothing behind it does: ask on the gateway's "
            "machine: `openclaw gateway status`, and compare the port with the proxy's"
        )
    if 300 <= status < 400:
        return f"the proxy sends elsewhere, to {location or '?'}: give that address with `--url`"
    if status in (401, 403, 407):
        return (
            "the proxy wants a login of its own: let the gateway's address pass without one, or "
            "send what it wants with `--header 'Name: value'`"
        )
    if status == 404:
        return (
            "the proxy does not send this path to the gateway: compare it with the one in `--url`"
        )
    return "another program answers here: check host and port of `--url`"


def _excerpt(body: bytes) -> str:
    return printable(" ".join(body.decode("utf-8", "replace").split()), limit=EXCERPT_CHARACTERS)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
