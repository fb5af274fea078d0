"""What of whole sessions with published gateways goes another way here, and why."""

from __future__ import annotations

from attrs import frozen

from tests.test_handshake_vectors import COMMAND, NO_WIPE, SILENT

B19, B96 = "behaviour-2026.2.19", "behaviour-2026.9.6"
F19, F96 = "full-2026.2.19", "full-2026.9.6"
TRANSCRIPTS = (F19, F96, B19, B96)

# Why an outcome is meant to be another one than that of the published gateway.
AGENT = "it belongs to an agent, which is not attached"
SECOND = "a second connect is told what it is, whatever the session may do"
TOKEN_ASKS = "who asks for more with its own token waits for an operator instead"
REVOKED = "a token that was revoked is issued again by an operator alone, never silently"
REPEATED = "endless refused calls end a session, as in 2026.9.6"
CUT = "what is revoked, rotated or removed is ended at once, as in 2026.9.6"
HEALTH = "health is open to everybody connected, as in 2026.9.6"
CODES = "a missing scope is named, under the code that protocol 4 has for it"
NEW_ONLY = "who approves must hold what is newly asked for, no more"
HOLDS = "who approves must hold what is asked for"
HOLDS_ALL = "who ends what another device has must hold all of it"
EARLIER = "it was decided earlier in this session, see above"
BEYOND = "nothing is rotated beyond what was approved"
KEEPS = "an approval keeps the token instead of replacing it"
MOVED = "what was decided at another point of the session is told there"
OWN_MACHINE = "no operator approved this node, so its commands wait"
NEWER_EVENT = "events of 2026.9.6 are told to clients of both protocols, and at a rename"
TAKEN = "events of nodes go nowhere here, so none is refused"
WAY = "the refusal carries the command that helps"
RENAMES = "a node is renamed as the device it is"


@frozen(order=True)
class Seen:
    """What was compared, what was seen there and what here."""

    what: str
    there: str
    here: str


#: What differs -> in which transcripts, and why.
DEVIATIONS: dict[Seen, tuple[tuple[str, ...], str]] = {
    Seen("event", "talk.mode", "nothing"): (
        (
            B19,
            B96,
        ),
        AGENT,
    ),
    Seen("event", "voicewake.changed", "nothing"): (
        (
            B19,
            B96,
            F19,
            F96,
        ),
        AGENT,
    ),
    Seen("event", "voicewake.routing.changed", "nothing"): (
        (
            B96,
            F96,
        ),
        AGENT,
    ),
    Seen("talk.mode", "ok", 'INVALID_REQUEST "unknown method: talk.mode"'): (
        (
            B19,
            B96,
        ),
        AGENT,
    ),
    Seen("voicewake.set", "ok", 'INVALID_REQUEST "unknown method: voicewake.set"'): (
        (
            B19,
            B96,
        ),
        AGENT,
    ),
    Seen("device.token.rotate", "ok", 'INVALID_REQUEST "device token rotation denied"'): (
        (B19,),
        BEYOND,
    ),
    Seen(
        "device.pair.approve",
        'INVALID_REQUEST "device pairing approval denied"',
        'FORBIDDEN "missing scope: operator.admin"',
    ): ((F96,), CODES),
    Seen(
        "device.pair.approve",
        'INVALID_REQUEST "missing scope: operator.read"',
        'FORBIDDEN "missing scope: operator.read"',
    ): ((B96,), CODES),
    Seen(
        "close",
        'close 1008 "pairing required"',
        'close 1008 "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): (
        (
            B19,
            F19,
        ),
        COMMAND,
    ),
    Seen(
        "close",
        'close 1008 "pairing required: device is asking for a higher role than currently approved (requestId: ID)"',
        'close 1008 "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((F96,), COMMAND),
    Seen(
        "close",
        'close 1008 "pairing required: device is asking for more scopes than currently approved (requestId: ID)"',
        'close 1008 "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((F96,), COMMAND),
    Seen(
        "close",
        'close 1008 "pairing required: device is not approved yet (requestId: ID)"',
        'close 1008 "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): (
        (
            B96,
            F96,
        ),
        COMMAND,
    ),
    Seen(
        "connect",
        'NOT_PAIRED "pairing required"',
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): (
        (
            B19,
            F19,
        ),
        COMMAND,
    ),
    Seen(
        "connect",
        'NOT_PAIRED "pairing required: device is asking for a higher role than currently approved"',
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((F96,), COMMAND),
    Seen(
        "connect",
        'NOT_PAIRED "pairing required: device is asking for more scopes than currently approved"',
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((F96,), COMMAND),
    Seen(
        "connect",
        'NOT_PAIRED "pairing required: device is not approved yet"',
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): (
        (
            B96,
            F96,
        ),
        COMMAND,
    ),
    Seen("close", 'close 1012 "service restart"', 'close 4001 "device removed"'): ((B19,), CUT),
    Seen("event", "shutdown", "nothing"): ((B19,), CUT),
    Seen("status", "ok", "closed"): ((B19,), CUT),
    Seen("device.pair.approve", "ok", 'INVALID_REQUEST "unknown requestId"'): (
        (
            F19,
            F96,
        ),
        EARLIER,
    ),
    Seen("health", 'INVALID_REQUEST "missing scope: operator.read"', "ok"): ((B19,), HEALTH),
    Seen("health", 'INVALID_REQUEST "unauthorized role: node"', "ok"): ((B19,), HEALTH),
    Seen("device.pair.approve", "ok", 'INVALID_REQUEST "missing scope: operator.read"'): (
        (B19,),
        HOLDS,
    ),
    Seen("device.pair.reject", 'INVALID_REQUEST "unknown requestId"', "ok"): ((B19,), HOLDS),
    Seen("device.pair.remove", "ok", 'FORBIDDEN "missing scope: operator.admin"'): (
        (F96,),
        HOLDS_ALL,
    ),
    Seen(
        "close",
        'close 1008 "unauthorized: device token mismatch (rotate/reissue device token)"',
        "stays open",
    ): ((F96,), KEEPS),
    Seen(
        "connect",
        'INVALID_REQUEST "unauthorized: device token mismatch (rotate/reissue device token)"',
        "ok",
    ): ((F96,), KEEPS),
    Seen("event", "device.pair.resolved approved", "nothing"): (
        (
            B19,
            B96,
            F19,
            F96,
        ),
        MOVED,
    ),
    Seen("event", "nothing", "device.pair.requested"): (
        (
            B19,
            B96,
        ),
        MOVED,
    ),
    Seen("event", "nothing", "device.pair.resolved approved"): ((F96,), MOVED),
    Seen("event", "nothing", "device.pair.resolved rejected"): (
        (
            B19,
            B96,
        ),
        MOVED,
    ),
    Seen("event", "nothing", "device.pair.changed"): (
        (
            F19,
            F96,
        ),
        NEWER_EVENT,
    ),
    Seen("event", "nothing", "node.runnerInventory.changed"): (
        (
            B19,
            B96,
            F19,
        ),
        NEWER_EVENT,
    ),
    Seen("device.pair.approve", 'INVALID_REQUEST "missing scope: operator.read"', "ok"): (
        (F96,),
        NEW_ONLY,
    ),
    Seen(
        "close",
        'close 1008 "unauthorized: device token mismatch (rotate/reissue device token)"',
        'close 1008 "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)"',
    ): ((F19,), NO_WIPE),
    Seen(
        "connect",
        'INVALID_REQUEST "unauthorized: device token mismatch (rotate/reissue device token)"',
        'INVALID_REQUEST "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)"',
    ): ((F19,), NO_WIPE),
    Seen("event", "nothing", "node.pair.requested"): ((B19,), OWN_MACHINE),
    Seen("node.rename", 'INVALID_REQUEST "unknown nodeId"', "ok"): ((F19,), RENAMES),
    Seen("close", 'close 1012 "service restart"', 'close 1008 "repeated unauthorized calls"'): (
        (B19,),
        REPEATED,
    ),
    Seen("health2x", 'INVALID_REQUEST "unauthorized role: node"', "closed"): ((B19,), REPEATED),
    Seen(
        "close",
        'close 1012 "service restart"',
        'close 1008 "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((B19,), REVOKED),
    Seen(
        "close",
        'close 4001 "device removed"',
        'close 1008 "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((B96,), REVOKED),
    Seen(
        "connect",
        "ok",
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): (
        (
            B19,
            B96,
        ),
        REVOKED,
    ),
    Seen(
        "device.token.rotate",
        'INVALID_REQUEST "device token rotation denied"',
        'INVALID_REQUEST "unknown deviceId/role"',
    ): ((B96,), REVOKED),
    Seen("device.token.rotate", "ok", 'INVALID_REQUEST "unknown deviceId/role"'): ((B19,), REVOKED),
    Seen(
        "connect",
        'FORBIDDEN "missing scope: operator.admin"',
        'INVALID_REQUEST "connect is only valid as the first request"',
    ): ((B96,), SECOND),
    Seen(
        "connect",
        'INVALID_REQUEST "missing scope: operator.admin"',
        'INVALID_REQUEST "connect is only valid as the first request"',
    ): ((B19,), SECOND),
    Seen(
        "connect",
        'INVALID_REQUEST "unauthorized role: node"',
        'INVALID_REQUEST "connect is only valid as the first request"',
    ): (
        (
            B19,
            B96,
        ),
        SECOND,
    ),
    Seen("close", 'close 1008 "pairing required"', "stays open"): ((F19,), SILENT),
    Seen("connect", 'NOT_PAIRED "pairing required"', "ok"): ((F19,), SILENT),
    Seen("node.event", 'UNAVAILABLE "node pairing changed while invocation was active"', "ok"): (
        (
            B96,
            F96,
        ),
        TAKEN,
    ),
    Seen(
        "close",
        'close 1008 "unauthorized: device token scope mismatch (re-pair or approve scope upgrade)"',
        'close 1008 "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((F96,), TOKEN_ASKS),
    Seen(
        "connect",
        'INVALID_REQUEST "unauthorized: device token scope mismatch (re-pair or approve scope upgrade)"',
        'NOT_PAIRED "pairing required: run openclaw devices approve ID (requestId: ID)"',
    ): ((F96,), TOKEN_ASKS),
    Seen(
        "node.invoke",
        'INVALID_REQUEST "node command not allowed"',
        'INVALID_REQUEST "node command not allowed: "camera.snap" requires explicit gateway.nodes.commands.allow opt-in"',
    ): ((F19,), WAY),
    Seen(
        "node.invoke",
        'UNAVAILABLE "node pairing changed while invocation was active"',
        'UNAVAILABLE "node commands wait for approval (run openclaw nodes approve ID)"',
    ): ((F96,), WAY),
    Seen(
        "node.runnerInventory.update",
        'UNAVAILABLE "node capability surface is awaiting operator approval; run `openclaw nodes approve ID` (see `openclaw nodes pending`), then this node retries automatically"',
        'UNAVAILABLE "node commands wait for approval (run openclaw nodes approve ID)"',
    ): ((F96,), WAY),
}
