"""Answers to those who speak TLS to a port without it, and plain HTTP to one with it."""

from __future__ import annotations

from html import escape

import orjson

#: What a command or a person makes of it is in its ``type``.
TLS_WANTED, NO_TLS = "tls-required", "no-tls"

#: What the log says of them.
SPEAKS_PLAIN = "speaks plain HTTP to a port with TLS"
SPEAKS_TLS = "speaks TLS to a port without TLS"

_TO_TLS = "this port speaks TLS: use https:// or wss://"
# In clear, as nothing else is agreed on: the error of a TLS client that meets it is the well-known
# one (OpenSSL: wrong version number; Go: server gave HTTP response to HTTPS client).
_TO_PLAIN = "this port does not speak TLS: use http:// or ws:// (from this machine, or a tunnel)"

_HEAD = (
    "HTTP/1.1 400 Bad Request\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\n"
    "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\ncache-control: no-store\r\n"
    "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\nconnection: close\r\n\r\n"
)


_DISTRUST = (
    "The client and this gateway did not agree on TLS. A client that does not trust the "
    "certificate must pin its fingerprint."
)
_WANTS_TLS = (
    "This port speaks TLS: give the client an address with https:// or wss://, and the "
    "certificate's fingerprint if it is not one that clients trust."
)
_WANTS_NONE = (
    "This port does not speak TLS: give the client an address with http:// or ws:// (on this "
    "machine, or through a tunnel), or let the gateway encrypt from its next restart."
)
_WORDS = {
    SPEAKS_PLAIN: (_WANTS_TLS, "gateway fingerprint"),
    SPEAKS_TLS: (_WANTS_NONE, "config set gateway.tls.enabled true"),
}


def in_words(text: str) -> tuple[str, str]:
    """Return what to do about what the log says of a handshake, and the command that helps."""
    return _WORDS.get(text, (_DISTRUST, "gateway fingerprint"))


def use_tls(*, host: str | None = None, wants_page: bool = False) -> bytes:
    """Return the answer to plain HTTP at a port with TLS.

    Args:
        host: Where the client thinks it is: its own Host header, to write the right address.
        wants_page: Whether a person is there to read it.
    """
    if not wants_page:
        return _answer(_json(TLS_WANTED, _TO_TLS), "application/json")
    link = f"https://{host}/" if host else "https://"
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>TLS is needed here</title>'
        f"<h1>This port speaks TLS</h1><p>Use <code>{escape(link)}</code>, and <code>wss://</code> "
        "for clients.</p><p>What the browser then says of the certificate can be checked: "
        "<code>openclaw gateway fingerprint</code>, on the gateway's machine, prints its "
        "fingerprint.</p></html>"
    )
    return _answer(page.encode(), "text/html; charset=utf-8")


def use_plain() -> bytes:
    """Return the answer to TLS at a port without it."""
    return _answer(_json(NO_TLS, _TO_PLAIN), "application/json")


def _json(kind: str, message: str) -> bytes:
    return orjson.dumps({"error": {"type": kind, "message": message}})


def _answer(body: bytes, kind: str) -> bytes:
    return _HEAD.format(kind=kind, size=len(body)).encode() + body
