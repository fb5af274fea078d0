"""The line of a connection closed before connect: its form, and how a storm is coalesced."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.protocol.close import Close
from gateway.refusals import (
    MAX_ENDED,
    MAX_LINES,
    MAX_LINES_PER_CLIENT,
    PROXY_QUIET_S,
    QUIET_S,
    RefusalLog,
    Visitor,
)

VISITOR = Visitor(
    conn_id="c1",
    remote="10.0.0.1",
    client="203.0.113.9",
    forwarded="203.0.113.9",
    origin="https://a.example",
    host="gw.example",
    user_agent="curl/8",
)
REFUSED = Close(1008, "device identity required")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Return the list that logged lines appear in."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    caplog.set_level(logging.DEBUG, logger="gateway")
    logging.getLogger("gateway.ws").addHandler(handler := Collect())
    yield found
    logging.getLogger("gateway.ws").removeHandler(handler)


async def test_the_line_has_the_form_that_people_grep_for(lines: list[str]):
    RefusalLog().write(VISITOR, REFUSED, sentence="Why.", command="openclaw devices list")

    assert lines == [
        (
            "closed before connect conn=c1 remote=10.0.0.1 fwd=203.0.113.9 origin=https://a.example "
            "host=gw.example ua=curl/8 code=1008 reason=device identity required "
            "Why. run: openclaw devices list"
        )
    ]


async def test_what_was_not_sent_is_not_available(lines: list[str]):
    bare = attrs.evolve(VISITOR, forwarded=None, origin=None, host=None, user_agent="")
    RefusalLog().write(bare, Close(1000))

    assert lines == [
        (
            "closed before connect conn=c1 remote=10.0.0.1 fwd=n/a origin=n/a host=n/a ua=n/a "
            "code=1000 reason=n/a"
        )
    ]


async def test_an_endless_header_is_cut(lines: list[str]):
    RefusalLog().write(attrs.evolve(VISITOR, user_agent="x" * 8192), REFUSED)

    assert f"ua={'x' * 200}... code=" in lines[0]


async def test_the_same_refusal_of_the_same_client_is_one_line_and_a_count(
    autojump_clock: MockClock, lines: list[str]
):
    log = RefusalLog()
    for _ in range(600):
        log.write(VISITOR, REFUSED)
        await trio.sleep(0.1)
    await trio.sleep(QUIET_S)
    log.write(VISITOR, REFUSED)

    assert len(lines) <= 60 / QUIET_S + 1
    assert "(299 more of this client since its last line)" in lines[1]


async def test_two_clients_are_two_lines(autojump_clock: MockClock, lines: list[str]):
    log = RefusalLog()
    log.write(VISITOR, REFUSED)
    log.write(attrs.evolve(VISITOR, client="203.0.113.10"), REFUSED)

    assert len(lines) == 2


async def test_words_of_the_peer_in_a_reason_make_no_new_lines(
    autojump_clock: MockClock, lines: list[str]
):
    log = RefusalLog()
    for number in range(50):
        log.write(VISITOR, Close(1008, f"invalid connect params: at /x{number}"))

    assert len(lines) == 1


async def test_each_pairing_request_is_told_because_it_has_a_command(
    autojump_clock: MockClock, lines: list[str]
):
    log = RefusalLog()
    for code in ("AAAA-AAAA", "BBBB-BBBB"):
        close = Close(1008, f"pairing required: run openclaw devices approve {code}")
        log.write(VISITOR, close, command=f"openclaw devices approve {code}")

    assert len(lines) == 2


async def test_one_client_cannot_fill_the_log(autojump_clock: MockClock, lines: list[str]):
    log = RefusalLog()
    for number in range(100):
        log.write(VISITOR, Close(1008, f"reason {number}"))

    assert len(lines) == MAX_LINES_PER_CLIENT


async def test_many_clients_cannot_fill_the_log(autojump_clock: MockClock, lines: list[str]):
    log = RefusalLog()
    for number in range(3000):
        log.write(attrs.evolve(VISITOR, client=str(number)), REFUSED)

    assert len(lines) == MAX_LINES
    assert len(log._of_client) <= 1024
    await trio.sleep(QUIET_S)
    log.write(attrs.evolve(VISITOR, client="new"), REFUSED)
    assert len(lines) == MAX_LINES + 1


async def test_what_is_no_handshake_is_noted_once(autojump_clock: MockClock, lines: list[str]):
    log = RefusalLog()
    for _ in range(3):
        log.note("203.0.113.9", "c1", "speaks TLS")

    assert lines == ["conn=c1 remote=203.0.113.9 speaks TLS"]


@pytest.mark.parametrize(
    ("second", "told"),
    [
        pytest.param(
            "unauthorized: too many failed authentication attempts (retry later)", 2, id="lockout"
        ),
        pytest.param(
            "unauthorized: gateway token mismatch (provide gateway auth token)", 1, id="same"
        ),
    ],
)
async def test_a_lockout_is_not_hidden_behind_the_wrong_secrets_before_it(
    lines: list[str], second: str, told: int
):
    log = RefusalLog()
    log.write(
        VISITOR, Close(1008, "unauthorized: gateway token mismatch (provide gateway auth token)")
    )

    log.write(VISITOR, Close(1008, second))

    assert len(lines) == told


async def test_what_a_peer_makes_up_is_one_sort_of_refusal(lines: list[str]):
    log = RefusalLog()

    for name in ("foo", "bar"):
        text = f"invalid connect params: at root: unexpected property '{name}'"
        log.write(VISITOR, Close(1008, text))

    assert len(lines) == 1


HINT = " (add it: `openclaw config set gateway.trustedProxies '[\"10.0.0.1\"]'`)"


async def test_which_proxy_to_trust_is_told_once_a_peer_whoever_is_behind_it(
    autojump_clock: MockClock, lines: list[str]
):
    log = RefusalLog()
    for number in range(20):
        visitor = attrs.evolve(VISITOR, client=f"203.0.113.{number}")
        log.write(visitor, REFUSED, sentence=f"Not trusted{HINT}.", hint=HINT)
        log.note_proxy("10.0.0.1", "c2", f"is not trusted{HINT}")
    other = attrs.evolve(VISITOR, remote="10.0.0.2", client="203.0.113.200")
    log.write(other, REFUSED, sentence=f"Not trusted{HINT}.", hint=HINT)

    assert [HINT in line for line in lines] == [True, *[False] * 19, True]
    assert lines[1].endswith("Not trusted.")


async def test_after_a_while_the_peer_is_named_again(autojump_clock: MockClock, lines: list[str]):
    log = RefusalLog()
    for _ in range(2):
        log.note_proxy("10.0.0.1", "c1", "is not trusted")
        await trio.sleep(PROXY_QUIET_S)

    assert lines == ["conn=c1 remote=10.0.0.1 is not trusted"] * 2


async def test_a_hint_that_was_held_back_is_still_owed(autojump_clock: MockClock, lines: list[str]):
    log = RefusalLog()
    log.write(VISITOR, REFUSED)
    logged = log.write(VISITOR, REFUSED, sentence=f"Not trusted{HINT}.", hint=HINT)
    await trio.sleep(QUIET_S)
    log.write(VISITOR, REFUSED, sentence=f"Not trusted{HINT}.", hint=HINT)

    assert logged is False
    assert HINT in lines[-1]


async def test_what_was_held_back_of_a_storm_that_is_over_is_told(
    autojump_clock: MockClock, lines: list[str]
):
    log = RefusalLog()
    for _ in range(5):
        log.write(VISITOR, REFUSED)
    log.tell_ended()
    before = len(lines)
    await trio.sleep(QUIET_S)
    log.tell_ended()
    log.tell_ended()

    assert before == 1
    assert lines[1:] == ["4 more connections of 203.0.113.9 were refused; quiet now"]


async def test_a_storm_that_goes_on_is_counted_by_its_own_lines(
    autojump_clock: MockClock, lines: list[str]
):
    log = RefusalLog()
    for _ in range(600):
        log.write(VISITOR, REFUSED)
        log.tell_ended()
        await trio.sleep(0.1)

    assert [line for line in lines if "quiet now" in line] == []


async def test_the_ends_of_many_storms_are_few_lines(autojump_clock: MockClock, lines: list[str]):
    log = RefusalLog()
    for number in range(100):
        for _ in range(2):
            log.write(attrs.evolve(VISITOR, client=str(number)), REFUSED)
    await trio.sleep(QUIET_S)
    del lines[:]
    log.tell_ended()

    assert len(lines) == MAX_ENDED + 1
    assert lines[-1] == f"{100 - MAX_ENDED} more connections of other clients were refused"
