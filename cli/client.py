"""One call to a gateway: connect, prove who this device is, ask, leave.

Everything here happens one step after another and ends with the answer, so it needs no event
loop: blocking sockets under one deadline start a tenth of a second sooner.
"""

from __future__ import annotations

import platform
import sys
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from cli.failures import Failure, GatewayRefusedError, GatewayUnreachableError
from gateway.version import VERSION

if TYPE_CHECKING:
    from cli.wire import Wire
    from stores.identity import Identity
    from stores.target import Target

#: Always the same three: one approval of this device then serves every command.
SCOPES = ("operator.admin", "operator.approvals", "operator.pairing")
ROLE = "operator"
CLIENT_ID = "cli"
CLIENT_MODE = "cli"
PROBE_MODE = "probe"
MIN_PROTOCOL, MAX_PROTOCOL = 3, 4


@frozen(kw_only=True)
class Presented:
    """What proves us: at most one shared secret or device token is needed."""

    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    device_token: str | None = field(default=None, repr=False)

    def to_wire(self) -> dict[str, str]:
        """Return the ``auth`` object of connect; what is not given is left out."""
        given = {"token": self.token, "password": self.password, "deviceToken": self.device_token}
        return {key: value for key, value in given.items() if value is not None}


@frozen
class Answer:
    """What a gateway answered, and the hello it admitted us with."""

    payload: Any
    hello: Mapping[str, Any]
    took_ms: int

    @property
    def auth(self) -> Mapping[str, Any]:
        """The ``auth`` object of the hello."""
        auth = self.hello.get("auth")
        return auth if isinstance(auth, dict) else {}


def call(
    target: Target,
    presented: Presented,
    identity: Identity,
    method: str,
    params: Any = None,
    *,
    timeout_s: float,
    mode: str = CLIENT_MODE,
) -> Answer:
    """Ask one gateway one thing.

    Args:
        timeout_s: For everything together: connecting, being admitted, the answer.

    Raises:
        GatewayUnreachableError: no gateway answered, in one of five ways.
        GatewayRefusedError: it answered no, to us or to the request.
    """
    from cli.wire import Wire  # late: it loads ssl and wsproto

    started = time.monotonic()
    with Wire.open(target, deadline=started + timeout_s) as wire:
        errand = _Errand(wire, presented, identity, mode)
        hello = errand.connect()
        payload = errand.request(method, params, hello)
    return Answer(payload, hello, int((time.monotonic() - started) * 1000))


def knock(
    target: Target,
    presented: Presented | None,
    identity: Identity | None,
    *,
    timeout_s: float,
    marks: dict[str, float],
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer | None:
    """Ask as a probe, which leaves no record, what the gateway says of itself.

    Args:
        presented: What proves us; without it this ends at the challenge, with no answer.
        identity: This device if it is one already: a probe makes none.
        marks: Filled with the time at which each thing began to be awaited, and ``the end``.
        headers: More headers for the upgrade, which a proxy on the way may want.

    Raises:
        GatewayUnreachableError, GatewayRefusedError: see `call`; ``marks`` tell how far it got.
    """
    from cli.wire import Wire  # late: see `call`

    started = time.monotonic()
    try:
        deadline = started + timeout_s
        with Wire.open(target, deadline=deadline, marks=marks, headers=headers) as wire:
            errand = _Errand(wire, presented or Presented(), identity, PROBE_MODE)
            found = errand.challenge()
            if presented is None:
                return None
            hello = errand.connect(found)
            payload = errand.request("status", {}, hello)
            return Answer(payload, hello, int((time.monotonic() - started) * 1000))
    finally:
        marks["the end"] = time.monotonic()


@define
class _Errand:
    wire: Wire
    presented: Presented
    identity: Identity | None
    mode: str

    def connect(self, challenge: tuple[str, int] | None = None) -> Mapping[str, Any]:
        nonce, at_ms = challenge or self.challenge()
        self.wire.waiting_for = "the answer to connect"
        response = self._exchange("connect", self._connect_params(nonce, at_ms))
        hello = response.get("payload")
        if response.get("ok") is True and isinstance(hello, dict):
            return hello
        raise _refusal(response, admitted=False)

    def request(self, method: str, params: Any, hello: Mapping[str, Any]) -> Any:
        self.wire.waiting_for = f"the answer to {method}"
        self.wire.asked = True
        response = self._exchange(method, {} if params is None else params)
        if response.get("ok") is True:
            return response.get("payload")
        auth = hello.get("auth")
        upgrade = auth.get("pendingUpgrade") if isinstance(auth, dict) else None
        raise _refusal(
            response, admitted=True, upgrade=upgrade if isinstance(upgrade, dict) else None
        )

    def challenge(self) -> tuple[str, int]:
        self.wire.waiting_for = "its challenge"
        frame = self._next_frame()
        while (frame.get("type"), frame.get("event")) != ("event", "connect.challenge"):
            frame = self._next_frame()
        payload = frame.get("payload")
        challenge = payload if isinstance(payload, dict) else {}
        nonce, at_ms = challenge.get("nonce"), challenge.get("ts")
        if not isinstance(nonce, str) or not nonce:
            raise GatewayUnreachableError(
                Failure.HTTP, "what answers there is a WebSocket server, but not a gateway"
            )
        # the gateway's own clock, so that a wrong one here cannot make the proof stale
        return nonce, at_ms if type(at_ms) is int else time.time_ns() // 1_000_000

    def _connect_params(self, nonce: str, at_ms: int) -> dict[str, Any]:
        auth = self.presented.to_wire()
        return {
            "minProtocol": MIN_PROTOCOL,
            "maxProtocol": MAX_PROTOCOL,
            "client": {
                "id": CLIENT_ID,
                "version": VERSION,
                "platform": sys.platform,
                "mode": self.mode,
                "displayName": platform.node() or CLIENT_ID,
            },
            "role": ROLE,
            "scopes": list(SCOPES),
            **({"auth": auth} if auth else {}),
            **self._device(nonce, at_ms, auth),
        }

    def _device(self, nonce: str, at_ms: int, auth: Mapping[str, str]) -> dict[str, Any]:
        """Return who this device is and the proof; nothing for a caller without one."""
        if self.identity is None:
            return {}
        from gateway.protocol.signature import SignedFields, payload_v3  # late: see `call`

        fields = SignedFields(
            device_id=self.identity.device_id,
            client_id=CLIENT_ID,
            client_mode=self.mode,
            role=ROLE,
            scopes=SCOPES,
            signed_at_ms=at_ms,
            token=auth.get("token", auth.get("deviceToken", "")),
        )
        payload = payload_v3(fields, nonce=nonce, platform=sys.platform, device_family=None)
        return {
            "device": {
                "id": self.identity.device_id,
                "publicKey": self.identity.key.public_key,
                "signature": self.identity.key.sign(payload.encode()),
                "signedAt": at_ms,
                "nonce": nonce,
            }
        }

    def _exchange(self, method: str, params: Any) -> Mapping[str, Any]:
        from gateway.protocol.frames import request  # late: see `call`

        request_id = str(uuid.uuid4())
        self.wire.send(request(request_id, method, params))
        frame = self._next_frame()
        while (frame.get("type"), frame.get("id")) != ("res", request_id):
            frame = self._next_frame()
        return frame

    def _next_frame(self) -> Mapping[str, Any]:
        import orjson  # late: see `call`

        while True:
            try:
                frame = orjson.loads(self.wire.receive())
            except orjson.JSONDecodeError:
                continue  # text that is no JSON is no answer to anything we asked
            if isinstance(frame, dict):
                return frame


def _refusal(
    response: Mapping[str, Any], *, admitted: bool, upgrade: Mapping[str, Any] | None = None
) -> GatewayRefusedError:
    error = response.get("error")
    shape = error if isinstance(error, dict) else {}
    details = shape.get("details")
    return GatewayRefusedError(
        str(shape.get("message") or "the gateway gave no reason"),
        code=str(shape.get("code") or "UNKNOWN"),
        details=details if isinstance(details, dict) else {},
        admitted=admitted,
        pending_upgrade=upgrade,
    )
