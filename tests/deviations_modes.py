"""What of sessions in each authentication mode, and of those that write configuration, goes another way.

The table of `deviations` has the rest; a row of it may hold for these sessions, too.
"""

from __future__ import annotations

from attrs import frozen

from tests.deviations import DEVIATIONS, Seen
from tests.test_handshake_vectors import COMMAND, EITHER_FIELD, HOST_COUNTS, NO_BUILD, TEXTS

N19, N96 = "auth-mode-none-2026.2.19", "auth-mode-none-2026.9.6"
P19, P96 = "auth-mode-password-2026.2.19", "auth-mode-password-2026.9.6"
T96 = "auth-mode-tp-2026.9.6"
C19, C96 = "config-writes-2026.2.19", "config-writes-2026.9.6"
SESSIONS = (N19, N96, P19, P96, T96, C19, C96)

KEEPS_SCOPES = (
    "a local client with the shared secret keeps its scopes without a device, as in 2026.9.6"
)
PROXY_FIRST = "whom the proxy does not vouch for is told that, with a device or without"
NEWER_LIMIT = "30 a minute, as in 2026.9.6"
TOGETHER = "the 30 a minute are for all writes of the configuration together"
PLACE = "the text says what is wrong and in which line"
ALLOWED = "the text says what is allowed and what was there"

_COMMAND = "pairing required: run openclaw devices approve ID (requestId: ID)"
_SECURE = "control ui requires HTTPS or localhost (secure context)"
_DEVICE = "control ui requires device identity (use HTTPS or localhost secure context)"
_CHANGED = "config changed since last load; re-run config.get and retry"
_BIND = (
    'invalid config: gateway.bind: expected one of loopback, lan, tailnet, custom, auto, got "moon"'
)
_BIND_96 = (
    'invalid config: gateway.bind: Invalid input (allowed: "auto", "lan", "loopback", "custom", '
    '"tailnet")'
)
_PASSWORD = "unauthorized: gateway password mismatch (use this gateway's gateway.auth.password)"
_OUR_PASSWORD = (
    "unauthorized: gateway password mismatch (set gateway.remote.password to match "
    "gateway.auth.password)"
)
_IN_TOKEN_FIELD = (
    "unauthorized: gateway password missing (set gateway.remote.password to match "
    "gateway.auth.password)"
)
_UPDATED = "protocol mismatch: Control UI updated; reload this page to continue"


@frozen
class Deviation:
    """What goes another way, in which transcripts, and why."""

    seen: Seen
    names: tuple[str, ...]
    why: str


def _refused(there: str, here: str, *, code: str, our_code: str | None = None) -> tuple[Seen, Seen]:
    """Return the two rows of a connect that is refused in other words: its answer and its close."""
    answer = Seen("connect", f'{code} "{there}"', f'{our_code or code} "{here}"')
    return answer, Seen("close", f'close 1008 "{there}"', f'close 1008 "{here}"')


def _table() -> list[Deviation]:
    found: list[Deviation] = []

    def note(names: tuple[str, ...], why: str, *rows: Seen) -> None:
        found.extend(Deviation(row, names, why) for row in rows)

    invalid = "INVALID_REQUEST"
    note((N96,), TEXTS, *_refused(_DEVICE, _SECURE, code=invalid))
    note((N96,), HOST_COUNTS, Seen("connect", "ok", f'NOT_PAIRED "{_COMMAND}"'))
    note((N96,), HOST_COUNTS, Seen("system-presence", "ok", "closed"))
    scope = Seen("system-presence", f'{invalid} "missing scope: operator.read"', "ok")
    note((P19,), KEEPS_SCOPES, scope)
    note((P19,), EITHER_FIELD, Seen("connect", f'{invalid} "{_IN_TOKEN_FIELD}"', "ok"))
    note((P19,), EITHER_FIELD, Seen("close", f'close 1008 "{_IN_TOKEN_FIELD}"', "stays open"))
    note((P96,), TEXTS, *_refused(_PASSWORD, _OUR_PASSWORD, code=invalid))
    for there, code in (("device identity required", "NOT_PAIRED"), (_DEVICE, invalid)):
        rows = _refused(there, "unauthorized", code=code, our_code=invalid)
        note((T96,), PROXY_FIRST, *rows)
    note((T96,), NO_BUILD, *_refused(_UPDATED, _SECURE, code="UNAVAILABLE", our_code=invalid))
    for method in ("config.set", "config.patch"):
        note((C19,), ALLOWED, Seen(method, f'{invalid} "invalid config"', f'{invalid} "{_BIND}"'))
        note((C96,), ALLOWED, Seen(method, f'{invalid} "{_BIND_96}"', f'{invalid} "{_BIND}"'))
    syntax = "SyntaxError: JSON5: "
    end = f"{syntax}not valid JSON5, the file ends too early at line 1"
    theirs = f'{invalid} "{syntax}invalid end of input at 1:6"'
    note((C19, C96), PLACE, Seen("config.set", theirs, f'{invalid} "{end}"'))
    for method in ("config.apply", "config.patch"):
        limit = f'UNAVAILABLE "rate limit exceeded for {method}; retry after 60s"'
        note((C19,), NEWER_LIMIT, Seen(method, limit, f'{invalid} "{_CHANGED}"'))
    note((C96,), TOGETHER, Seen("config.patch", f'{invalid} "{_CHANGED}"', limit))
    return found


#: Rows of the other table that hold in these sessions as well.
_ALSO = {
    Seen("connect", 'NOT_PAIRED "pairing required"', f'NOT_PAIRED "{_COMMAND}"'): (N19,),
    Seen("close", 'close 1008 "pairing required"', f'close 1008 "{_COMMAND}"'): (N19,),
    Seen(
        "connect",
        'NOT_PAIRED "pairing required: device is not approved yet"',
        f'NOT_PAIRED "{_COMMAND}"',
    ): (T96,),
    Seen(
        "close",
        'close 1008 "pairing required: device is not approved yet (requestId: ID)"',
        f'close 1008 "{_COMMAND}"',
    ): (T96,),
}

#: All of them, of all transcripts.
ALL_DEVIATIONS = [
    *(
        Deviation(one, (*names, *_ALSO.get(one, ())), why)
        for one, (names, why) in DEVIATIONS.items()
    ),
    *_table(),
]

assert {DEVIATIONS[seen][1] for seen in _ALSO} == {COMMAND}
