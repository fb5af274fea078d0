"""The TLS side of a call: which certificate is accepted, and what went wrong in words."""

from __future__ import annotations

import hmac
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.failures import Failure, GatewayUnreachableError
from stores.fingerprint import fingerprint_of, in_pairs
from stores.target import FLAG, URL_VARIABLE, Trust, is_loopback

if TYPE_CHECKING:
    from stores.target import Target

#: For finding out what a port says of itself that did not answer as it should.
COURTESY_S = 0.3

# RFC 8446, section 5.1: an alert, and a handshake, as the first bytes of a TLS record.
TLS_RECORDS = (b"\x15\x03", b"\x16\x03")

# What nginx and this gateway answer to plain HTTP on a port with TLS.
_WANTS_TLS = (b"HTTPS port", b'"tls-required"')


def encrypt(plain: socket.socket, target: Target) -> ssl.SSLSocket:
    """Shake hands, and make sure of the certificate.

    Raises:
        GatewayUnreachableError: no agreement, or another certificate than the pinned one.
        TimeoutError: the socket's own deadline passed.
    """
    # A pin says more than any authority. Without one loopback is as safe as plain ws there is.
    checked = target.tls_fingerprint is None and not is_loopback(target.host)
    try:
        secure = _context(checked=checked).wrap_socket(plain, server_hostname=target.host)
    except TimeoutError:
        raise
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise _untrusted(target, error.verify_message) from error
    except (ssl.SSLError, OSError) as error:
        raise _no_handshake(target, error) from error
    if target.tls_fingerprint is not None:
        found = fingerprint_of(secure.getpeercert(binary_form=True) or b"")
        if not hmac.compare_digest(target.tls_fingerprint, found):
            secure.close()
            raise _another(target, target.tls_fingerprint, found)
    return secure


def certificate_there(target: Target) -> bytes | None:
    """Return the certificate that a port shows, trusted or not; None if it speaks no TLS."""
    try:
        with (
            socket.create_connection((target.dial_host, target.port), timeout=COURTESY_S) as plain,
            _context(checked=False).wrap_socket(plain, server_hostname=target.host) as secure,
        ):
            return secure.getpeercert(binary_form=True)
    except OSError:
        return None


def wants_tls(body: bytes) -> bool:
    """Tell whether the answer to plain HTTP says that it should have been TLS."""
    return any(words in body for words in _WANTS_TLS)


def speaks_tls(target: Target) -> GatewayUnreachableError:
    """Return the failure of plain words at a port with TLS."""
    problem = f"the port speaks TLS; try wss://{_place(target)}"
    return _failure(target, problem, remedy=_said_as(target, "wss"))


def broke(target: Target, error: ssl.SSLError) -> GatewayUnreachableError:
    """Return the failure of an encrypted connection after its handshake."""
    if "CERTIFICATE_REQUIRED" not in (error.reason or ""):
        return _failure(target, "the encrypted connection broke")
    return _failure(
        target,
        "it asks for a client certificate, and commands have none",
        remedy="run the command on the gateway's own machine, or through a tunnel: "
        f"{_tunnel(target)} and `--url wss://127.0.0.1:{target.port}`",
    )


def _context(*, checked: bool) -> ssl.SSLContext:
    if checked:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loads no authorities, which takes a while
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _no_handshake(target: Target, error: OSError) -> GatewayUnreachableError:
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "ALERT" in reason:
        words = reason.lower().replace("_", " ")
        return _failure(target, f"it ended the handshake ({words})")
    if is_loopback(target.host):
        problem = f"the port does not speak TLS; try ws://{_place(target)}"
        return _failure(target, problem, remedy=_said_as(target, "ws"))
    return _failure(
        target,
        "the port does not speak TLS",
        remedy="let that gateway encrypt, on its own machine: `openclaw config set "
        "gateway.tls.enabled true && openclaw gateway restart`; or use a tunnel: "
        f"{_tunnel(target)} and `--url ws://127.0.0.1:{target.port}`",
    )


def _untrusted(target: Target, why: str) -> GatewayUnreachableError:
    certificate = certificate_there(target)
    if certificate is None:
        return _failure(target, f"its certificate is not trusted ({why})")
    found = fingerprint_of(certificate)
    return _failure(
        target,
        f"its certificate is not trusted ({why}); its fingerprint is sha256 {in_pairs(found)}",
        remedy=_compare_and_pin(target, found),
    )


def _another(target: Target, pinned: str, found: str) -> GatewayUnreachableError:
    source = target.pin_source or "the pin"
    problem = (
        f"its certificate has the fingerprint sha256 {in_pairs(found)}, "
        f"but {source} says {in_pairs(pinned)}"
    )
    if target.is_local_default and target.pin_source != FLAG:
        return _failure(target, f"{problem}: something else may hold the port")
    return _failure(target, problem, remedy=_compare_and_pin(target, found))


def _compare_and_pin(target: Target, found: str) -> str:
    """Return how to make sure of a certificate, and then to accept it and no other."""
    if target.trust is Trust.REMOTE and target.pin_source != FLAG:
        pin = f"pin it with `openclaw config set gateway.remote.tlsFingerprint sha256:{found}`"
    else:
        pin = f"call again with `--tls-fingerprint sha256:{found}`"
    return (
        "compare it with what this prints on the gateway's machine: `openclaw gateway fingerprint`; "
        f"if it is the same, {pin}"
    )


def _said_as(target: Target, scheme: str) -> str | None:
    """Return how to name the target with the other scheme, where it was named before."""
    url = f"{scheme}://{target.url.partition('://')[2]}"
    match target.trust:
        case Trust.LOCAL:
            return None  # its own configuration says so: what holds the port matters more
        case Trust.REMOTE:
            return f"correct it with `openclaw config set gateway.remote.url {url}`"
        case Trust.ENVIRONMENT:
            return f"correct it with `export {URL_VARIABLE}={url}`"
        case Trust.FLAGS:
            return f"call again with `--url {url}`"


def _tunnel(target: Target) -> str:
    return f"`ssh -N -L {target.port}:127.0.0.1:{target.port} {target.host}`"


def _place(target: Target) -> str:
    return urlsplit(target.url).netloc


def _failure(target: Target, why: str, *, remedy: str | None = None) -> GatewayUnreachableError:
    problem = f"no TLS agreement with {_place(target)}: {why}"
    return GatewayUnreachableError(Failure.TLS, problem, remedy=remedy)
