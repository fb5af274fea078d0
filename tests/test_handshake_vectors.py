"""Handshakes provoked at two published gateways, replayed against a whole gateway of ours.

Each case is sent as it was captured, in the order captured, to one gateway: with its headers, its
parameters and its fault, but with keys of the tests' own, signed anew for the nonce of the moment.
Where the outcome is meant to be another one, `DEVIATIONS` says so and why; the table in
``docs/reference/protocol.md`` is the same one.
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import field, frozen
from trio_websocket import ConnectionClosed

from gateway.protocol import signature
from stores import keys
from tests.serving import open_gateway
from tests.wire import Wire, key_of, now_ms, open_wire

VECTORS = Path(__file__).parent / "vectors"
DOCUMENT = Path(__file__).parent.parent / "docs" / "reference" / "protocol.md"

#: What each captured gateway had as its token, and the Host of a client that dialled it directly.
TOKENS = {"2026.2.19": "tok-219-secret", "2026.9.6": "tok-96-secret"}
DIALLED = {"2026.2.19": "127.0.0.1:21010", "2026.9.6": "127.0.0.1:21020"}
#: A frame that was captured without its middle: so many bytes it had.
CUT = re.compile(r"\.\.\.\((\d+) bytes\)$")
OUR_ID = re.compile(r"\b[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}\b")
THEIR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


# Why an outcome is meant to be another one than that of the published gateway.
SILENT = "a local client with the shared secret is upgraded silently"
NO_WIPE = "the other text makes a client throw away a token that may be good"
EITHER_FIELD = "the shared secret is accepted in either field"
BOTH = "both protocols are served on one socket"
UNION = "the schemas of both protocols are served as one"
V3 = "signatures v2 and v3 are accepted for both protocols"
COMMAND = "the refusal carries the command that approves"
RESOLVES = "a local contact of the same device resolves its own request"
TS_NET = "a Host is only a claim: none but a name of this machine keeps a client local"
LOOPBACK = "the whole of 127.0.0.0/8 is this machine"
REBINDING = "a name that nobody configured may be DNS rebinding"
OTHER_PORT = "a page of another local port is never paired without a human"
EVERY_ORIGIN = "an Origin is judged whatever the client calls itself"
NODE_KEY = "a node needs a device"
HOST_COUNTS = "a Host that is not this machine takes locality away"
IDS = "locality and the secret decide, not what a client calls itself"
TEXTS = "one text for both protocols, that of 2026.2.19"
NO_403 = "the connection is remote instead, and the refusal says which peer to trust"
NO_BUILD = "none of the published pages is served, so there is no build to compare"
MISSING = "a missing platform or family is no change, and the upgrade is silent as above"
FREE = "the text of a 1009 is the WebSocket library's own"

#: Case -> how it ends here, and why.
DEVIATIONS: dict[tuple[str, str], tuple[str, str]] = {
    ("2026.2.19", "device scope-upgrade"): ("admitted", SILENT),
    ("2026.2.19", "device scope-upgrade again"): ("admitted", SILENT),
    ("2026.2.19", "wrong token device"): (
        'INVALID_REQUEST "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)", close 1008',
        NO_WIPE,
    ),
    ("2026.2.19", "password in token mode"): ("admitted", EITHER_FIELD),
    ("2026.2.19", "proto 4-4"): ("admitted", BOTH),
    ("2026.2.19", "bad client id"): (
        'INVALID_REQUEST "invalid connect params: at /client/id: must be equal to one of the allowed values", close 1008',
        UNION,
    ),
    ("2026.2.19", "auth.deviceToken prop"): ("admitted", UNION),
    ("2026.2.19", "v3 sig"): ("admitted", V3),
    ("2026.2.19", "remote host new device"): (
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        COMMAND,
    ),
    ("2026.2.19", "remote host again"): (
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        COMMAND,
    ),
    ("2026.2.19", "local same pending"): ("admitted", RESOLVES),
    ("2026.2.19", "xff untrusted"): (
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        COMMAND,
    ),
    ("2026.2.19", "ts.net host new"): (
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        TS_NET,
    ),
    ("2026.2.19", "127.0.0.2 host new"): ("admitted", LOOPBACK),
    ("2026.2.19", "control-ui same host origin"): (
        'INVALID_REQUEST "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)", close 1008',
        REBINDING,
    ),
    ("2026.2.19", "control-ui local origin"): (
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        OTHER_PORT,
    ),
    ("2026.2.19", "cli w evil origin ok"): (
        'INVALID_REQUEST "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)", close 1008',
        EVERY_ORIGIN,
    ),
    ("2026.2.19", "node no device"): (
        'NOT_PAIRED "device identity required", close 1008',
        NODE_KEY,
    ),
    ("2026.2.19", "operator w/ node device (role-upgrade)"): ("admitted", SILENT),
    ("2026.9.6", "cli deviceless remote-host"): ("admitted, no scopes", HOST_COUNTS),
    ("2026.9.6", "tui-like deviceless local"): ("admitted with operator.admin", IDS),
    ("2026.9.6", "wrong token nodevice"): (
        'INVALID_REQUEST (AUTH_TOKEN_MISMATCH) "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)", close 1008',
        TEXTS,
    ),
    ("2026.9.6", "wrong token device"): (
        'INVALID_REQUEST (AUTH_TOKEN_MISMATCH) "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)", close 1008',
        TEXTS,
    ),
    ("2026.9.6", "missing token device"): (
        'INVALID_REQUEST (AUTH_TOKEN_MISSING) "unauthorized: gateway token missing (set gateway.remote.token to match gateway.auth.token)", close 1008',
        TEXTS,
    ),
    ("2026.9.6", "proto 3-3 cli"): ("admitted with operator.admin", BOTH),
    ("2026.9.6", "probe 3-3"): ("admitted with operator.admin", IDS),
    ("2026.9.6", "remote host new device (shared auth)"): (
        'NOT_PAIRED (PAIRING_REQUIRED) "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        HOST_COUNTS,
    ),
    ("2026.9.6", "remote ip host new device"): (
        'NOT_PAIRED (PAIRING_REQUIRED) "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        HOST_COUNTS,
    ),
    ("2026.9.6", "private ip host new device"): (
        'NOT_PAIRED (PAIRING_REQUIRED) "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        HOST_COUNTS,
    ),
    ("2026.9.6", "xff untrusted"): (
        'NOT_PAIRED (PAIRING_REQUIRED) "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        NO_403,
    ),
    ("2026.9.6", "Forwarded untrusted"): (
        'NOT_PAIRED (PAIRING_REQUIRED) "pairing required: run openclaw devices approve ID (requestId: ID)", close 1008',
        NO_403,
    ),
    ("2026.9.6", "control-ui no build"): ("admitted", NO_BUILD),
    ("2026.9.6", "control-ui no device"): (
        'INVALID_REQUEST (CONTROL_UI_DEVICE_IDENTITY_REQUIRED) "control ui requires HTTPS or localhost (secure context)", close 1008',
        TEXTS,
    ),
    ("2026.9.6", "operator w/ node device (role-upgrade local)"): ("admitted", MISSING),
    ("2026.9.6", "handshake 70KB"): (
        'close 1009 "Exceeded maximum message size: 65536 bytes"',
        FREE,
    ),
}


@frozen
class Outcome:
    """How a connect ended, request ids written as ID; ""scopes"" only of a client without device."""

    ok: bool | None = None
    code: str | None = None
    message: str | None = None
    detail: str | None = None
    close: tuple[int, str] | None = None
    scopes: tuple[str, ...] | None = None

    def __str__(self) -> str:
        if self.ok:
            if self.scopes is None:
                return "admitted"
            return (
                f"admitted with {', '.join(self.scopes)}" if self.scopes else "admitted, no scopes"
            )
        assert self.close is not None
        number, reason = self.close
        detail = f" ({self.detail})" if self.detail else ""
        if self.message is None:
            return f'close {number} "{reason}"' if reason else f"close {number}"
        same = reason == self.message
        return f'{self.code}{detail} "{self.message}", close {number}' + (
            "" if same else f' "{reason}"'
        )


@frozen
class Case:
    """One captured handshake."""

    version: str
    name: str
    steps: list[dict[str, Any]] = field(repr=False)

    def frames(self, direction: str) -> list[dict[str, Any]]:
        """Return the steps that carry a frame in one direction."""
        found = [step for step in self.steps if step["dir"] == direction]
        return [step for step in found if step["kind"] == "frame"]

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the upgrade that are not the WebSocket library's own business."""
        head = next(step["head"] for step in self.steps if step["kind"] == "upgrade")
        pairs = dict(line.split(": ", 1) for line in head[1:])
        return {name: pairs[name] for name in pairs if not name.startswith(("Sec-", "Up", "Conn"))}


def captured(version: str) -> list[Case]:
    """Return the cases of a version in the order in which they were provoked."""
    lines = (VECTORS / f"handshake-cases-{version}.jsonl").read_text().splitlines()
    return [Case(version, one["case"], one["steps"]) for one in map(json.loads, lines)]


CASES = {(case.version, case.name): case for version in TOKENS for case in captured(version)}


def published(case: Case) -> Outcome:
    """Return how the published gateway ended it."""
    for step in case.frames("s2c"):
        if step["frame"]["type"] == "res":
            return outcome_of(case, step["frame"], closing(case))
    return Outcome(close=closing(case))


def closing(case: Case) -> tuple[int, str] | None:
    for step in case.steps:
        if step["kind"] == "close" and step["dir"] == "s2c":
            return step["code"], THEIR_ID.sub("ID", step["reason"])
        if step["kind"] == "http-response":
            return 403, "HTTP"
    return None


def outcome_of(case: Case, frame: dict[str, Any], close: tuple[int, str] | None) -> Outcome:
    """Return a response and the close after it as an outcome."""
    if frame["ok"]:
        auth = frame["payload"].get("auth")
        told = case.version == "2026.9.6" and "deviceToken" not in auth
        return Outcome(ok=True, scopes=tuple(auth["scopes"]) if told else None)
    error = frame["error"]
    # 2026.2.19 had no such codes; ours go to clients of both protocols.
    detail = error.get("details", {}).get("code") if case.version == "2026.9.6" else None
    message = OUR_ID.sub("ID", error["message"])
    return Outcome(False, error["code"], message, detail, close)


async def replay(port: int, case: Case) -> Outcome:
    """Send a captured case to our gateway and return how it ended."""
    dialled, here = DIALLED[case.version], f"127.0.0.1:{port}"
    headers = {name: text.replace(dialled, here) for name, text in case.headers.items()}
    host, origin = headers.pop("Host"), headers.pop("Origin", None)
    extra = tuple(headers.items())
    async with open_wire(port, host=host, origin=origin, headers=extra) as wire:
        await wire.send(message_of(case, wire))
        try:
            frame = await wire.receive()
        except ConnectionClosed as error:
            end = error.reason
            return Outcome(close=(end.code, end.reason or "") if end else (1006, ""))
        if frame["ok"]:
            return outcome_of(case, frame, None)
        code, reason = await wire.closed()
        return outcome_of(case, frame, (code, OUR_ID.sub("ID", reason)))


def message_of(case: Case, wire: Wire) -> str:
    """Return the first message of a case as if its client spoke to us now."""
    sent = case.frames("c2s")
    if not sent:  # turned away at the upgrade: the connect that would have followed
        return json.dumps(signed_anew(case, CASES[case.version, "id mismatch"], wire, clean=True))
    raw = sent[0]["frame"].get("_raw")
    if raw is None:
        return json.dumps(signed_anew(case, case, wire))
    cut = CUT.search(raw)
    if cut is None:
        return str(raw)
    head = raw[: cut.start()]
    return f'{head}{"y" * (int(cut[1]) - len(head) - 3)}"}}}}'


def signed_anew(case: Case, source: Case, wire: Wire, *, clean: bool = False) -> dict[str, Any]:
    """Return the captured request with a device of ours that repeats what the captured one did."""
    step = source.frames("c2s")[0]
    frame: dict[str, Any] = json.loads(json.dumps(step["frame"]))
    device = frame["params"].get("device")
    if device is None:
        return frame
    challenge = source.frames("s2c")[0]["frame"]["payload"]["nonce"]
    version, nonce = what_was_signed(frame["params"], challenge)
    own = key_of(int.from_bytes(device["publicKey"].encode()[:4], "big"))
    if clean:
        own, version, nonce = key_of(sum(case.name.encode())), 3, challenge
    if (
        clean
        or keys.device_id_of(keys.decode_public_key(device["publicKey"]) or b"") == device["id"]
    ):
        device["id"] = own.device_id
    device["publicKey"] = own.public_key
    device["signedAt"] += now_ms() - step["t"]
    if device.get("nonce") == challenge:
        device["nonce"] = wire.challenge["nonce"]
    if nonce == challenge:
        nonce = wire.challenge["nonce"]
    if version:
        payload = payload_of(frame["params"], version, nonce)
        device["signature"] = own.sign(payload.encode())
    return frame


def what_was_signed(params: dict[str, Any], challenge: str) -> tuple[int, str]:
    """Return which payload a captured signature fits, as (version, nonce in it); 0 for none."""
    device = params["device"]
    raw = keys.decode_public_key(device["publicKey"])
    assert raw is not None
    sent = device.get("nonce")
    for version in (1, 2, 3):
        for nonce in dict.fromkeys((sent or "", challenge)):
            text = payload_of(params, version, nonce)
            if keys.verify(raw, text.encode(), device["signature"]):
                return version, nonce
    return 0, ""


def payload_of(params: dict[str, Any], version: int, nonce: str) -> str:
    """Return the string that a device signs for these parameters."""
    client, device, auth = params["client"], params["device"], params.get("auth", {})
    fields = signature.SignedFields(
        device_id=device["id"],
        client_id=client["id"],
        client_mode=client["mode"],
        role=params.get("role", "operator"),
        scopes=params.get("scopes", ()),
        signed_at_ms=device["signedAt"],
        token=auth.get("token", auth.get("deviceToken", "")),
    )
    match version:
        case 1:
            return signature.payload_v1(fields)
        case 2:
            return signature.payload_v2(fields, nonce=nonce)
        case _:
            family = client.get("deviceFamily")
            return signature.payload_v3(
                fields, nonce=nonce, platform=client["platform"], device_family=family
            )


@functools.cache
def replayed(version: str) -> dict[str, Outcome]:
    """Return the outcome of every case of a version, replayed in order at one gateway."""

    async def life(folder: Path) -> dict[str, Outcome]:
        auth = {"mode": "token", "token": TOKENS[version]}
        with trio.fail_after(20):
            async with open_gateway(folder, {"auth": auth}) as gateway:
                return {case.name: await replay(gateway.port, case) for case in captured(version)}

    with tempfile.TemporaryDirectory() as folder:
        return trio.run(life, Path(folder))


@pytest.mark.parametrize(("version", "name"), list(CASES), ids=lambda part: part.replace(" ", "-"))
def test_a_provoked_handshake_ends_as_published_or_as_documented(version: str, name: str):
    ours = replayed(version)[name]

    deviation = DEVIATIONS.get((version, name))
    if deviation is None:
        assert ours == published(CASES[version, name])
    else:
        assert str(ours) == deviation[0]


def test_a_deviation_is_one():
    same = [key for key in DEVIATIONS if str(published(CASES[key])) == DEVIATIONS[key][0]]

    assert same == []


def test_the_reference_lists_the_very_same_deviations():
    lines = DOCUMENT.read_text().splitlines()
    rows = {line for line in lines if re.match(r"\| 2026\.\d+\.\d+ \|", line)}

    assert rows == {row_of(*key) for key in DEVIATIONS}


def row_of(version: str, name: str) -> str:
    """Return a deviation as a line of the reference."""
    ours, why = DEVIATIONS[version, name]
    told = published(CASES[version, name])
    turned_away = told.close is not None and told.close[0] == 403
    theirs = "HTTP 403" if turned_away else str(told)
    return f"| {version} | {name} | {theirs} | {ours} | {why} |"
