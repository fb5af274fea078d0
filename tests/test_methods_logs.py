"""The log over the wire: whole lines, a cursor to go on from, and never too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.methods.logs import tail
from stores.scopes import PAIRING
from tests.sessions import a_gateway, admitted
from tests.wire import key_of


def told(path: Path, **wanted: Any) -> tuple[list[str], int, bool, bool]:
    """Return lines, cursor, truncated and reset."""
    answer = tail(path, **{"cursor": None, "limit": 500, "max_bytes": 1000} | wanted)
    assert answer["file"] == str(path)
    return answer["lines"], answer["cursor"], answer["truncated"], answer["reset"]


@pytest.mark.parametrize(
    ("text", "wanted", "answer"),
    [
        pytest.param("a\nb\n", {}, (["a", "b"], 4, False, False), id="all"),
        pytest.param("a\nb\n", {"cursor": 2}, (["b"], 4, False, False), id="since"),
        pytest.param("a\nb\n", {"cursor": 4}, ([], 4, False, False), id="nothing-new"),
        pytest.param("a\nb\n", {"cursor": 9}, (["a", "b"], 4, False, True), id="another-file"),
        pytest.param("a\nb\nc", {}, (["a", "b"], 4, False, False), id="half-a-line-waits"),
        pytest.param("a\nbb\n", {"limit": 1}, (["bb"], 5, True, False), id="limit"),
        pytest.param("aaa\nbb\n", {"max_bytes": 4}, (["bb"], 7, True, False), id="partial-first"),
        pytest.param("aaa\nbb\n", {"max_bytes": 3}, (["bb"], 7, True, False), id="whole-first"),
        pytest.param(
            "aaa\nbb\n", {"cursor": 0, "max_bytes": 3}, (["bb"], 7, True, True), id="far-behind"
        ),
        pytest.param("", {}, ([], 0, False, False), id="empty"),
    ],
)
def test_the_end_of_a_log_is_told(tmp_path: Path, text: str, wanted: Any, answer: Any):
    (tmp_path / "log").write_text(text)

    assert told(tmp_path / "log", **wanted) == answer


def test_a_half_line_is_told_once_it_is_whole(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("a\nbe")
    _, cursor, _, _ = told(log)
    log.write_text("a\nbee\n")

    assert told(log, cursor=cursor)[0] == ["bee"]


async def test_the_newest_file_is_told_over_the_wire(tmp_path: Path):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        empty = await wire.result("logs.tail", {})
        folder = gateway.runtime.paths.logs_dir
        folder.mkdir(exist_ok=True)
        (folder / "gateway-2026-01-01.jsonl").write_text("old\n")
        (folder / "gateway-2026-01-02.jsonl").write_text('{"a":1}\n')
        full = await wire.result("logs.tail", {"limit": 5})

    assert (empty["lines"], empty["cursor"]) == ([], 0)
    assert (full["lines"], full["size"]) == (['{"a":1}'], 8)


async def test_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / "secret").write_text("secret\n")
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        folder = gateway.runtime.paths.logs_dir
        folder.mkdir(exist_ok=True)
        (folder / "gateway-2026-01-02.jsonl").symlink_to(tmp_path / "secret")
        error = (await wire.call("logs.tail", {}))["error"]

    assert error == {"code": "UNAVAILABLE", "message": "the gateway's log cannot be read now"}


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 5001}, {"maxBytes": 0}, {"cursor": -1}])
async def test_what_is_out_of_bounds_is_refused(tmp_path: Path, params: dict[str, Any]):
    async with a_gateway(tmp_path) as gateway, admitted(gateway, key=key_of(1)) as wire:
        error = (await wire.call("logs.tail", params))["error"]

    assert error["message"].startswith("invalid logs.tail params: at /")


async def test_who_may_not_read_sees_no_log(tmp_path: Path):
    async with (
        a_gateway(tmp_path) as gateway,
        admitted(gateway, key=key_of(1), scopes=(PAIRING,)) as wire,
    ):
        error = (await wire.call("logs.tail", {}))["error"]

    assert error["message"] == "missing scope: operator.read"
