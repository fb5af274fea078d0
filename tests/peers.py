"""What a client may find at the other end of a socket: gateways, strangers, and nobody.

All of them listen on loopback at a port the system chose, each in a thread that ends with it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import wsproto
from attrs import define, field
from wsproto import events

from cli.client import Presented, call
from cli.failures import GatewayUnreachableError
from gateway.protocol.connect import ConnectParams, parse_connect_params
from gateway.protocol.schema import InvalidParamsError
from gateway.protocol.signature import ProofOk, judge_device_proof
from stores import keys
from stores.identity import Identity
from stores.keys import generate
from stores.target import Target, Trust

#: Longest life of a peer's connection: a test that hangs is ended by it, not by the runner.
PATIENCE_S = 10
#: The device of every call that needs none of its own.
IDENTITY = Identity(generate(), 1)
NONCE = "5f0c3a6e-0000-4000-8000-9b6a1f3d2c11"

Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """Listen while the body runs and serve each connection in a thread; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        accepting = threading.Thread(target=_accept, args=(listener, serve), daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        accepting.join(PATIENCE_S)


def _accept(listener: socket.socket, serve: Serve) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(PATIENCE_S)
        threading.Thread(target=_serve, args=(connection, serve), daemon=True).start()


def _serve(connection: socket.socket, serve: Serve) -> None:
    with connection, contextlib.suppress(OSError):
        serve(connection)


def target_of(port: int, *, secure: bool = False) -> Target:
    """Return the target that this machine's own gateway at a port is."""
    scheme = "wss" if secure else "ws"
    return Target(
        url=f"{scheme}://127.0.0.1:{port}",
        source="loopback",
        trust=Trust.LOCAL,
        host="127.0.0.1",
        dial_host="127.0.0.1",
        port=port,
    )


def unreachable(
    port: int, *, secure: bool = False, timeout_s: float = 5
) -> GatewayUnreachableError:
    """Return how a call to a port failed, which it must."""
    with pytest.raises(GatewayUnreachableError) as caught:
        call(target_of(port, secure=secure), Presented(), IDENTITY, "health", timeout_s=timeout_s)
    return caught.value


def closed_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def says(data: bytes) -> Serve:
    """Return a peer that reads a little, says this and hangs up."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(data)

    return serve


def silent(connection: socket.socket) -> None:
    """Read and never answer."""
    while connection.recv(65_536):
        pass


def upgrades(then: Callable[[WebSocketPeer], None]) -> Serve:
    """Return a peer that accepts the WebSocket upgrade."""

    def serve(connection: socket.socket) -> None:
        peer = WebSocketPeer(connection)
        peer.accept()
        then(peer)

    return serve


def speaks_tls(folder: Path, serve: Serve, *, demands: Path | None = None) -> tuple[Serve, str]:
    """Return a peer behind TLS, and the SHA-256 fingerprint of its certificate.

    Args:
        demands: Whose clients alone it takes, PEM.
    """
    pem, fingerprint = _certificate()
    path = folder / "peer.pem"
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if demands is not None:
        context.load_verify_locations(demands)
        context.verify_mode = ssl.CERT_REQUIRED

    def encrypted(connection: socket.socket) -> None:
        try:
            secure = context.wrap_socket(connection, server_side=True)
        except ssl.SSLError:
            return
        with secure:
            serve(secure)

    return encrypted, fingerprint


def _certificate() -> tuple[bytes, str]:
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return private + pem, certificate.fingerprint(hashes.SHA256()).hex()


@define
class WebSocketPeer:
    """The server's end of a WebSocket over a blocking socket."""

    connection: socket.socket
    protocol: wsproto.WSConnection = field(
        factory=lambda: wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    )

    def accept(self) -> None:
        """Accept the upgrade."""
        self._until(events.Request)
        self.connection.sendall(self.protocol.send(events.AcceptConnection()))

    def receive(self) -> Any:
        """Return the next message, parsed."""
        return json.loads(self._until(events.TextMessage).data)

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame."""
        self.send_text(json.dumps(frame))

    def send_text(self, text: str) -> None:
        """Send a message."""
        self.connection.sendall(self.protocol.send(events.TextMessage(text)))

    def ping(self) -> None:
        """Send a ping."""
        self.connection.sendall(self.protocol.send(events.Ping(b"there?")))

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye and wait for the other side's."""
        self.connection.sendall(self.protocol.send(events.CloseConnection(code, reason)))
        self._until(events.CloseConnection)

    def _until(self, kind: type[Any]) -> Any:
        while True:
            for event in self.protocol.events():
                if isinstance(event, kind):
                    return event
                if isinstance(event, events.CloseConnection):
                    raise OSError("closed")
            data = self.connection.recv(65_536)
            if not data:
                raise OSError("gone")
            self.protocol.receive_data(data)


@define
class FakeGateway:
    """A gateway's half of the handshake, checked with the real one's judgement, and fixed answers.

    Args:
        answers: Method -> payload, or an error object when it has a ``code`` and a ``message``.
        refusal: The error object that answers every ``connect``, or a function of its parameters.
        hello: What the hello holds besides the smallest one.
    """

    answers: dict[str, Any] = field(factory=dict)
    refusal: Any = None
    hello: dict[str, Any] = field(factory=dict)
    connects: list[ConnectParams] = field(factory=list)
    requests: list[tuple[str, Any]] = field(factory=list)
    problems: list[str] = field(factory=list)

    def __call__(self, connection: socket.socket) -> None:
        peer = WebSocketPeer(connection)
        peer.accept()
        now_ms = int(time.time() * 1000)
        challenge = {"nonce": NONCE, "ts": now_ms}
        peer.send({"type": "event", "event": "connect.challenge", "payload": challenge})
        opening = peer.receive()
        if not self._admit(peer, opening, now_ms):
            return
        while True:
            request = peer.receive()
            self.requests.append((request["method"], request.get("params")))
            peer.send({"type": "event", "event": "tick", "payload": {"ts": now_ms}, "seq": 1})
            answer = self.answers[request["method"]]
            peer.send(_response(request["id"], answer))

    def _admit(self, peer: WebSocketPeer, opening: dict[str, Any], now_ms: int) -> bool:
        try:
            params = parse_connect_params(opening["params"])
        except InvalidParamsError as error:
            self.problems.append(f"connect parameters: {error}")
            return False
        self.connects.append(params)
        proof = judge_device_proof(
            params, nonce_sent=NONCE, protocol=4, local=False, now_ms=now_ms, keys=keys
        )
        if not (isinstance(proof, ProofOk) and proof.version == 3):
            self.problems.append(f"device proof: {proof}")
        refusal = self.refusal(params) if callable(self.refusal) else self.refusal
        if refusal is not None:
            peer.send({"type": "res", "id": opening["id"], "ok": False, "error": refusal})
            peer.close(1008, refusal["message"][:120])
            return False
        hello = {"type": "hello-ok", "protocol": 4, "auth": {"role": "operator", "scopes": []}}
        peer.send({"type": "res", "id": opening["id"], "ok": True, "payload": hello | self.hello})
        return True


def _response(request_id: str, answer: Any) -> dict[str, Any]:
    if isinstance(answer, dict) and {"code", "message"} <= answer.keys():
        return {"type": "res", "id": request_id, "ok": False, "error": answer}
    return {"type": "res", "id": request_id, "ok": True, "payload": answer}
