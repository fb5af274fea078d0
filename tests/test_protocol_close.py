"""Close codes and reasons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import close
from gateway.protocol.close import Close, no_connect_within, refused, truncate_reason

EVERY_CLOSE = [value for value in vars(close).values() if isinstance(value, Close)]


@pytest.mark.parametrize("ending", EVERY_CLOSE, ids=lambda ending: f"{ending.code} {ending.reason}")
def test_every_reason_fits_a_close_frame_whole(ending):
    assert truncate_reason(ending.reason) == ending.reason


@pytest.mark.parametrize(
    ("ending", "code", "reason"),
    [
        (close.NOT_JSON, 1000, ""),
        (close.PROTOCOL_MISMATCH, 1002, "protocol mismatch"),
        (close.INVALID_REQUEST_FRAME, 1008, "invalid request frame"),
        (close.CONNECT_FIRST, 1008, "invalid handshake: first request must be connect"),
        (close.INVALID_HANDSHAKE, 1008, "invalid-handshake"),
        (close.MESSAGE_TOO_LARGE, 1009, ""),
        (close.SERVICE_RESTART, 1012, "service restart"),
        (close.GATEWAY_STARTING, 1013, "gateway starting"),
        (close.DEVICE_REMOVED, 4001, "device removed"),
    ],
)
def test_clients_read_these_codes_and_reasons(ending, code, reason):
    assert ending == Close(code, reason)


@pytest.mark.parametrize(
    ("timeout_ms", "reason"),
    [(15_000, "no connect within 15 s"), (1_500, "no connect within 1.5 s")],
)
def test_a_late_connect_is_told_its_deadline(timeout_ms, reason):
    assert no_connect_within(timeout_ms) == Close(1000, reason)


def test_a_refusal_closes_with_the_words_of_its_error():
    assert refused("unauthorized") == Close(1008, "unauthorized")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("a" * 120, "a" * 120, id="fits"),
        pytest.param("a" * 121, "a" * 120, id="one-too-many"),
        pytest.param("ä" * 60, "ä" * 60, id="two-bytes-fit"),
        pytest.param("a" + "ä" * 60, "a" + "ä" * 59, id="two-bytes-at-the-edge"),
        pytest.param("abc" + "€" * 40, "abc" + "€" * 39, id="three-bytes-at-the-edge"),
        pytest.param("ab" + "🦞" * 30, "ab" + "🦞" * 29, id="four-bytes-at-the-edge"),
        pytest.param("\ud800", "?", id="lone-surrogate"),
    ],
)
def test_a_reason_is_cut_between_characters(text, kept):
    assert truncate_reason(text) == kept


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_cut_reason_is_a_head_that_could_not_be_longer(text):
    kept = truncate_reason(text)

    assert text.startswith(kept)
    assert len(kept.encode()) <= 120
    assert kept == text or len(text[: len(kept) + 1].encode()) > 120


@given(st.text(max_size=200))
def test_any_reason_can_be_sent(text):
    assert len(refused(text).reason.encode("utf-8")) <= 120
