"""Setup codes and links: what a person carries to a device, and which address it holds.

Source: protocol fact, ``setupCode`` is base64url of the JSON ``{url, bootstrapToken, expiresAtMs}``.
"""

from __future__ import annotations

import base64
import binascii
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen

from stores.config.model import Bind, Config
from stores.errors import UsageError
from stores.invitations import Terms
from stores.paths import Paths
from stores.records import Role
from stores.scopes import ADMIN, APPROVALS, PAIRING, QUESTIONS, READ, TALK_SECRETS, WRITE

MOST_CHARS = 300  # of an address: a QR code has to hold it
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_LIMITED = (APPROVALS, QUESTIONS, READ, TALK_SECRETS, WRITE)

#: What each word of published clients gives, and the owner's link.
PROFILES = {
    "full": Terms(Role.NODE, (ADMIN, *_LIMITED), "full"),
    "limited": Terms(Role.NODE, _LIMITED, "limited"),
    "node": Terms(Role.NODE, (), "node"),
    "voice-node": Terms(Role.NODE, (), "node"),
    "owner": Terms(Role.OPERATOR, (ADMIN, APPROVALS, PAIRING, *_LIMITED[1:]), "owner"),
}

#: What a gateway without an address that anybody else could use says (protocol fact: its beginning).
LOOPBACK_ONLY = (
    "Gateway is only bound to loopback. Give the address that devices reach it by: publicUrl in "
    "this request, gateway.publicOrigin, or gateway.bind=lan and a restart."
)


@frozen
class Way:
    """How a device reaches the gateway: a ws:// or wss:// address, and who says so.

    Args:
        alone: The address leads to the gateway from its own machine only.
    """

    url: str
    source: str
    alone: bool = False


@frozen
class Opened:
    """What a setup code holds."""

    url: str
    token: str = field(repr=False)
    expires_at_ms: int


def encode(url: str, token: str, *, expires_at_ms: int) -> str:
    """Return the setup code."""
    held = {"url": url, "bootstrapToken": token, "expiresAtMs": expires_at_ms}
    text = json.dumps(held, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(code: str) -> Opened:
    """Return what a setup code holds.

    Raises:
        UsageError: it is none.
    """
    padded = code.strip() + "=" * (-len(code.strip()) % 4)
    try:
        held = json.loads(base64.urlsafe_b64decode(padded))
        return Opened(str(held["url"]), str(held["bootstrapToken"]), int(held["expiresAtMs"]))
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise UsageError(
            "that is no setup code", remedy="make one with `openclaw devices invite`"
        ) from None


def checked_url(url: str) -> str:
    """Return an address that devices are to use, as ws:// or wss:// and without a final slash.

    Raises:
        UsageError: it is none, or holds more than an address.
    """
    plain = url.isprintable() and not any(sign in url for sign in " @?#\\\"'<>`")
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, usable = urlsplit(""), False
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or not usable or not plain or len(url) > MOST_CHARS:
        raise UsageError(
            "the address that devices are to use is not one",
            remedy="write it as wss://HOST or ws://HOST:PORT",
        )
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def page_link(way: str, token: str, *, base_path: str = "") -> str:
    """Return the link that a browser opens; the secret is in the fragment, which no server gets."""
    scheme, _, rest = way.partition("://")
    page = {"ws": "http", "wss": "https"}[scheme]
    base = base_path.strip("/")
    return f"{page}://{rest}/{base + '/' if base else ''}#bootstrapToken={token}"


def gateway_note(paths: Paths) -> Mapping[str, Any]:
    """Return what the running gateway notes of itself; nothing where none does."""
    try:
        noted = json.loads(paths.lock_path.read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def way_in(
    config: Config,
    note: Mapping[str, Any],
    *,
    port: int,
    secure: bool | None = None,
    prefer_remote: bool = False,
) -> Way:
    """Return how devices reach this machine's gateway.

    Args:
        prefer_remote: The address that other machines' commands are told goes before all others.
        note: `gateway_note`: how it was started goes before the configuration.
        port: Used unless the note has one.
        secure: Whether it encrypts, if that is known.
    """
    gateway = config.gateway
    if prefer_remote and gateway.remote.url is not None:
        return Way(checked_url(gateway.remote.url), "gateway.remote.url")
    if gateway.public_origin is not None:
        return Way(checked_url(gateway.public_origin), "gateway.publicOrigin")
    tls = note.get("tls")
    noted = bool(tls.get("enabled")) if isinstance(tls, dict) else gateway.tls.enabled
    scheme = "wss" if (noted if secure is None else secure) else "ws"
    number = note.get("port") if isinstance(note.get("port"), int) else port
    bind = str(note.get("bind") or gateway.bind)
    address = _address(bind, gateway.custom_bind_host)
    if address is None:
        return Way(f"{scheme}://127.0.0.1:{number}", f"gateway.bind={bind}", alone=True)
    host = f"[{address}]" if ":" in address else address
    return Way(f"{scheme}://{host}:{number}", f"gateway.bind={bind}")


def own_page(way: Way, config: Config, note: Mapping[str, Any], *, port: int) -> str:
    """Return the address for a browser of this machine: browsers make keys on loopback or TLS."""
    if way.source == "gateway.publicOrigin":
        return way.url
    number = note.get("port") if isinstance(note.get("port"), int) else port
    return f"{way.url.partition('://')[0]}://127.0.0.1:{number}"


def _address(bind: str, custom: object) -> str | None:
    if bind == Bind.CUSTOM and custom is not None:
        text = str(custom)
        if text in ("0.0.0.0", "::"):  # compared, not bound
            return _lan_address()
        return None if text.startswith("127.") or text == "::1" else text
    if bind == Bind.LAN:
        return _lan_address()
    return _tailnet_address() if bind == Bind.TAILNET else None


def _lan_address() -> str | None:
    """Return the address that this machine has on the way out; nothing is sent to find it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
    except OSError:
        return None
    return None if address.startswith(("127.", "0.")) else address


def _tailnet_address() -> str | None:
    """Return the address on the way to Tailscale's own resolver, if it is one of its network."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("100.100.100.100", 9))
            address = str(probe.getsockname()[0])
    except OSError:
        return None
    return address if address.startswith("100.") else None
