"""The duties of process 1 are taken on by process 1 alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from gateway.first_process import be_first_process


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {one: signal.getsignal(one) for one in (signal.SIGCHLD, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> tuple[object, object]:
    return signal.getsignal(signal.SIGCHLD), signal.getsignal(signal.SIGTERM)


def test_any_other_process_keeps_its_signals():
    before = handlers()

    be_first_process()

    assert handlers() == before


def test_process_1_reaps_and_ends_with_0_when_told_to_before_it_serves(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(os, "getpid", lambda: 1)

    be_first_process()

    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 0


def test_the_gateway_starts_no_process_whose_end_it_would_miss():
    from tests.imports import ROOT

    sources = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "stores").rglob("*.py")]
    starts = ("import subprocess", "run_process", "open_process", "os.fork", "os.spawn", "popen")

    assert [s.name for s in sources if any(word in s.read_text() for word in starts)] == []
