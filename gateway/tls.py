"""Encryption by the gateway itself: what it presents, and who may come in that way."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import trio
from attrs import frozen

from gateway.own_network import own_addresses
from stores.certificate import (
    Certificate,
    CertificateFiles,
    certificate_files,
    check_key,
    day_of,
    ensure_own,
    key_is_exposed,
    mismatch,
    read_certificate,
    renew_at_ms,
)
from stores.config.load import LoadedConfig
from stores.errors import ConfigError
from stores.fingerprint import in_pairs
from stores.paths import Paths

#: The first byte of what a TLS client says (RFC 8446, section 5.1: a handshake record).
HANDSHAKE_BYTE = b"\x16"

_DNS_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_NOT_TRUSTED = (
    "the client does not trust this gateway's certificate: pin the fingerprint there "
    "(`openclaw gateway fingerprint` prints it), or use a certificate that clients trust"
)
#: What those do who judge the certificate and say nothing of it: programs on Node.
HUNG_UP = (
    "hung up at the TLS handshake: it may not trust this gateway's certificate "
    "(`openclaw gateway fingerprint` prints what to pin there)"
)
#: How long the end of a connection may come after what OpenSSL could not name.
_GOES_WITHIN_S = 0.1
# What OpenSSL calls a failed handshake -> what it means; its names are stable, its texts are not.
_MEANINGS = {
    **dict.fromkeys(
        (
            "TLSV1_ALERT_UNKNOWN_CA",
            "SSLV3_ALERT_BAD_CERTIFICATE",
            "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        ),
        _NOT_TRUSTED,
    ),
    **dict.fromkeys(
        ("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"),
        "the client speaks no TLS newer than 1.1, and 1.2 is the oldest served",
    ),
    "NO_SHARED_CIPHER": "the client offers no cipher that is served",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "the client showed no certificate, and gateway.tls.caPath asks for one"
    ),
    "CERTIFICATE_VERIFY_FAILED": (
        "the client showed a certificate that nobody in gateway.tls.caPath vouches for"
    ),
}


class NoAgreementError(Exception):
    """A client and this gateway could not agree on how to encrypt; the text says why."""


@frozen(eq=False)
class ServerTls:
    """What the gateway presents; replaced as a whole when a file changes.

    Args:
        elsewhere: For peers of other machines: asks for a client certificate if there is a
            ``caPath``.
        here: For peers on loopback, which have none: the commands of this machine.
        renew_at_ms: When a certificate that the gateway made itself is made anew.
        files: What was read; a change there is a change of configuration.
    """

    elsewhere: ssl.SSLContext
    here: ssl.SSLContext
    certificate: Certificate
    files: tuple[Path, ...] = ()
    renew_at_ms: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate as people compare it."""
        return in_pairs(self.certificate.fingerprint)


def open_tls(
    loaded: LoadedConfig,
    env: Mapping[str, str],
    paths: Paths,
    *,
    names: Sequence[str],
    now_ms: int,
    make: bool = True,
) -> ServerTls | None:
    """Load certificate and key; make them first if the configuration names none.

    Args:
        names: This machine's own names, for a certificate that is made.
        make: Whether one may be made; if not, a missing one is no fault, and gives None.

    Raises:
        ConfigError: they cannot be used; key and file are named.
        StoreError: the one that is made cannot be kept.
    """
    files = certificate_files(loaded, env, paths.state_dir)
    if files.own:
        if not make and not files.cert.exists():
            return None
        if make:
            known = [_host_of(loaded.config.gateway.public_origin), "localhost", *sorted(names)]
            dns = [name for name in known if name and _DNS_NAME.fullmatch(name)]
            addresses = [*_LOOPBACK, *sorted(filter(_lasts, own_addresses()), key=str)]
            ensure_own(files, names=dns, addresses=addresses, now_ms=now_ms)
    certificate = read_certificate(files)
    check_key(files)
    return ServerTls(
        elsewhere=_context(files, ask=files.ca is not None),
        here=_context(files, ask=False),
        certificate=certificate,
        files=files.all,
        renew_at_ms=renew_at_ms(certificate) if files.own else None,
        warnings=tuple(_warnings(files, certificate, now_ms)),
    )


def _context(files: CertificateFiles, *, ask: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # HTTP/1.1 is all there is here; a client that offers only HTTP/2 is told so by the handshake.
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password of ours OpenSSL would ask for one on the terminal.
        context.load_cert_chain(files.cert, files.key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise mismatch(files) from error
    if ask:
        try:
            context.load_verify_locations(files.ca)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f"gateway.tls.caPath: {files.ca} does not exist, or holds no certificate to check "
                "clients by",
                remedy="name the right file with `openclaw config set gateway.tls.caPath FILE`, or ask "
                "clients for none with `openclaw config unset gateway.tls.caPath`",
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _warnings(files: CertificateFiles, certificate: Certificate, now_ms: int) -> list[str]:
    found = []
    if certificate.not_after_ms <= now_ms:
        found.append(
            f"the certificate in {files.cert} expired on {day_of(certificate.not_after_ms)}: "
            "only clients that pin its fingerprint still connect; put a new one there"
        )
    elif certificate.not_before_ms > now_ms:
        found.append(
            f"the certificate in {files.cert} counts only from "
            f"{day_of(certificate.not_before_ms)} on: is the clock of this machine right?"
        )
    if key_is_exposed(files):
        found.append(
            f"every user of this machine can read the private key {files.key}: "
            f"`chmod o-rwx {files.key}`"
        )
    return found


def _host_of(origin: str | None) -> str | None:
    """Return the host of an origin unless it is an address."""
    host = origin.partition("://")[2].rsplit(":", 1)[0] if origin else ""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host or None
    return None


def _lasts(address: IPv4Address | IPv6Address) -> bool:
    return not (address.is_link_local or address.is_loopback)


def tls_in_force(
    loaded: LoadedConfig, started_with: LoadedConfig, env: Mapping[str, str], paths: Paths
) -> ServerTls | None:
    """Return what to present under a configuration; None where nothing is encrypted.

    Whether to encrypt was decided at the start; files that only the next start would use are
    checked too, so far as they are there.

    Raises:
        ConfigError, StoreError: as for `open_tls`.
    """
    wanted = loaded.config.gateway.tls.enabled
    if not started_with.config.gateway.tls.enabled:
        if wanted:
            refuse_broken_tls(loaded, env, paths)
        return None
    now_ms = time.time_ns() // 1_000_000
    names = (socket.gethostname().lower().rstrip("."),)
    return open_tls(loaded if wanted else started_with, env, paths, names=names, now_ms=now_ms)


def refuse_broken_tls(loaded: LoadedConfig, env: Mapping[str, str], paths: Paths) -> None:
    """Refuse files that a gateway would not start with; makes none.

    Raises:
        ConfigError: they cannot be used.
    """
    if loaded.config.gateway.tls.enabled:
        open_tls(loaded, env, paths, names=(), now_ms=0, make=False)


def told(tls: ServerTls | None) -> dict[str, object]:
    """Return what may be told of the encryption of a gateway: what a handshake shows anyway."""
    if tls is None:
        return {"enabled": False}
    return {
        "enabled": True,
        "fingerprint": f"sha256:{tls.certificate.fingerprint}",
        "notAfter": tls.certificate.not_after_ms,
    }


async def first_byte(stream: trio.SocketStream) -> bytes:
    """Return the first byte of a connection and leave it there; empty is the end.

    Raises:
        BrokenResourceError: the connection was reset.
    """
    try:
        return await stream.socket.recv(1, socket.MSG_PEEK)
    except OSError as error:
        raise trio.BrokenResourceError from error


async def shake_hands(
    stream: trio.SocketStream, tls: ServerTls, peer: str
) -> trio.SSLStream[trio.SocketStream]:
    """Return the encrypted side of a connection, both ends agreed.

    Args:
        peer: The address of the other end.

    Raises:
        NoAgreementError: they do not; the peer was told with an alert, or hung up before.
        BrokenResourceError: the peer went away just then.
    """
    line = trio.SSLStream(
        stream,
        tls.here if _is_loopback(peer) else tls.elsewhere,
        server_side=True,
        https_compatible=True,  # most clients hang up without the goodbye of TLS
    )
    try:
        await line.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if not isinstance(cause, ssl.SSLError) or await _is_hang_up(cause, stream):
            raise NoAgreementError(HUNG_UP) from error
        # Private, and the only place: Trio drops the alert that says why. A test fails without it.
        await stream.send_all(line._outgoing.read())
        reason = cause.reason or str(cause)
        raise NoAgreementError(f"no TLS handshake: {_MEANINGS.get(reason, reason)}") from error
    return line


async def _is_hang_up(cause: ssl.SSLError, stream: trio.SocketStream) -> bool:
    """Tell whether a handshake failed because the peer went, with or without the goodbye of TLS."""
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLSyscallError | ssl.SSLZeroReturnError):
        return True
    if cause.reason:
        return False
    gone = False  # OpenSSL has no word for it: then the socket tells
    with trio.move_on_after(_GOES_WITHIN_S):
        try:
            gone = await first_byte(stream) == b""
        except trio.BrokenResourceError:
            gone = True
    return gone


def _is_loopback(peer: str) -> bool:
    found = ip_address(peer.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


async def say_goodbye(line: trio.SSLStream[trio.SocketStream]) -> None:
    """Tell the peer that nothing more comes, and wait for its goodbye; the socket stays open."""
    try:
        await line.unwrap()
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
        return  # it still talks, or left without: what was said is said
