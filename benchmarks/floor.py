"""The floor: a bare trio-websocket server that does what no gateway can leave out, and no more.

A handshake is one challenge, one frame parsed, one Ed25519 signature verified, one hello written;
a request is one frame parsed and one answer written. It knows no schema, no store and no scopes.
"""

from __future__ import annotations

import sys
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import orjson
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

NONCE = "6f1c1f0a-4a0a-4d55-9f0e-2d1a0c6d1e55"


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verify(params: dict[str, Any]) -> None:
    client, device = params["client"], params["device"]
    scopes, at, token = ",".join(params["scopes"]), device["signedAt"], params["auth"]["token"]
    signed = (
        f"v3|{device['id']}|{client['id']}|{client['mode']}|{params['role']}"
        f"|{scopes}|{at}|{token}|{NONCE}|{client['platform']}|"
    )
    key = Ed25519PublicKey.from_public_bytes(_decode(device["publicKey"]))
    key.verify(_decode(device["signature"]), signed.encode())


async def _serve(request: WebSocketRequest, payloads: dict[str, Any]) -> None:
    ws = await request.accept()
    challenge = {"nonce": NONCE, "ts": 0}
    frame = {"type": "event", "event": "connect.challenge", "payload": challenge}
    try:
        await ws.send_message(orjson.dumps(frame).decode())
        while True:
            asked = orjson.loads(await ws.get_message())
            if asked["method"] == "connect":
                _verify(asked["params"])
            payload = payloads[asked["method"]]
            answer = {"type": "res", "id": asked["id"], "ok": True, "payload": payload}
            await ws.send_message(orjson.dumps(answer).decode())
    except ConnectionClosed:
        return


def main() -> None:
    """Serve on a port of 127.0.0.1 (first argument) with the payloads of a JSON file (second)."""
    payloads = orjson.loads(Path(sys.argv[2]).read_bytes())

    async def serve(request: WebSocketRequest) -> None:
        await _serve(request, payloads)

    trio.run(serve_websocket, serve, "127.0.0.1", int(sys.argv[1]), None)


if __name__ == "__main__":
    main()
