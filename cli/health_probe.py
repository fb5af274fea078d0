"""`openclaw gateway health --probe`: does the event loop of this machine's gateway turn?

Rule: cheap enough to run every few seconds for years. No event loop, no credentials, no device, and
no configuration while a gateway says in its lock where it listens.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from cli.explain import print_failure
from cli.failures import DONE, FAILED
from cli.output import json_text, say
from cli.place import Place, TargetOptions
from stores.errors import UsageError, UserFacingError
from stores.serving import may_be_served, read_lock_note

#: Less than what health checks usually wait, so that the sentence is still printed, s.
WITHIN_S = 4.0

_ENOUGH_BYTES = 16 * 1024


class ProbeError(UserFacingError):
    """The gateway did not answer as one that lives."""


def probe(here: Place, options: TargetOptions) -> int:
    """Ask once, print the verdict, return the exit code.

    Raises:
        UsageError: options that a probe has no use for.
    """
    if evolve(options, timeout_ms=None, as_json=False) != TargetOptions():
        raise UsageError(
            "--probe asks this machine's gateway, without credentials",
            remedy="leave the other options out; only --timeout and --json go with it",
        )
    within_s = options.timeout_ms / 1000 if options.timeout_ms else WITHIN_S
    started = time.monotonic()
    try:
        port, tls = _place_of(here, read_lock_note(here.paths.state_dir))
        _ask(port, tls=tls, deadline=started + within_s)
        _refuse_others(here, port)
    except UserFacingError as error:
        # A health check knows well and not well; the code for "nobody answers" is for people.
        print_failure(error, FAILED, as_json=options.as_json)
        return FAILED
    took_ms = round((time.monotonic() - started) * 1000)
    found = {"ok": True, "port": port, "tookMs": took_ms}
    say(json_text(found) if options.as_json else f"OK: port {port} ({took_ms}ms)")
    return DONE


def lives(port: int, *, within_s: float) -> bool:
    """Tell whether a gateway answers on a port of this machine, with TLS or without."""
    for tls in (False, True):
        with contextlib.suppress(ProbeError):
            _ask(port, tls=tls, deadline=time.monotonic() + within_s)
            return True
    return False


def _place_of(here: Place, note: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the port of the gateway and whether it speaks TLS: as it says itself, else as set."""
    port, tls = note.get("port"), note.get("tls")
    if isinstance(port, int):
        return port, isinstance(tls, dict) and bool(tls.get("enabled"))
    from stores.config.load import load_config  # late: the note of a running gateway spares it
    from stores.target import resolve_port

    paths = here.paths
    loaded = load_config(paths, here.env)
    number = resolve_port(loaded, here.env, default=paths.default_port).number
    return number, loaded.config.gateway.tls.enabled


def _refuse_others(here: Place, port: int) -> None:
    """Refuse the answer of a gateway that is surely not the one of this state directory.

    Raises:
        ProbeError: no gateway runs on it, or the one that did was killed.
    """
    state_dir = here.paths.state_dir
    if not may_be_served(state_dir):
        raise ProbeError(
            f"a gateway answers on port {port}, but none runs on {state_dir}",
            remedy="see whose it is with `openclaw gateway status`",
        )


def _ask(port: int, *, tls: bool, deadline: float) -> None:
    remedy = "start it with `openclaw gateway run`; what an earlier one said is in its log"
    request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    try:
        with _connected(port, deadline) as plain, _wrapped(plain, tls=tls) as one:
            one.sendall(request.encode())
            answer = _read(one, deadline)
    except TimeoutError:
        raise ProbeError(
            f"the gateway on port {port} accepts connections and does not answer",
            remedy="its event loop hangs; see what to do with `openclaw gateway status`",
        ) from None
    except OSError as error:
        raise ProbeError(
            f"no gateway answers on port {port} of this machine ({error.strerror or error})",
            remedy=remedy,
        ) from None
    if not _is_alive(answer):
        raise ProbeError(f"what answers on port {port} is not a gateway", remedy=remedy)


def _is_alive(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        said = json.loads(body)
    except ValueError:
        return False
    well = head.split(b"\r\n", 1)[0].split(b" ")[1:2] == [b"200"]
    return well and isinstance(said, dict) and said.get("status") == "live"


def _connected(port: int, deadline: float) -> socket.socket:
    """Connect on either loopback; a gateway may have been told to listen on IPv6 alone."""
    try:
        return socket.create_connection(("127.0.0.1", port), _left(deadline))
    except ConnectionRefusedError as refused:
        with contextlib.suppress(OSError):
            return socket.create_connection(("::1", port), _left(deadline))
        raise refused from None


def _wrapped(plain: socket.socket, *, tls: bool) -> socket.socket:
    if not tls:
        return plain
    import ssl  # late: few gateways in containers end TLS themselves

    # Nothing secret is sent, and nothing that comes back is believed but "alive".
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def _read(one: socket.socket, deadline: float) -> bytes:
    got = b""
    while len(got) < _ENOUGH_BYTES:
        one.settimeout(_left(deadline))
        data = one.recv(_ENOUGH_BYTES)
        if not data:
            break
        got += data
    return got


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
