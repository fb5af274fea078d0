"""The file of refusals: what is read of it, and which refusal an id means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stores.errors import StoreError
from stores.refusal_ring import MAX_ENTRIES, meant_by, read_refusals, ring_file, write_refusals

CONN = "6fb9c94c-62ec-4bdc-b839-9d16f7296aae"
ENTRIES: list[dict[str, Any]] = [
    {"connId": CONN, "requestId": "7KQM-2XHT", "deviceId": "ab" * 32},
    {"connId": "11111111-2222", "connIds": ["99999999-2222"], "requestId": "7KQM-2XHT"},
    {"connId": "33333333-4444"},
]


def test_what_is_written_is_read_again_and_no_more_than_is_kept(tmp_path: Path):
    file = ring_file(tmp_path / "logs")

    write_refusals(file, ({"connId": str(number)} for number in range(MAX_ENTRIES + 3)))

    found = read_refusals(file)
    assert len(found) == MAX_ENTRIES
    assert found[-1] == {"connId": str(MAX_ENTRIES + 2)}
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_file_is_no_refusal(tmp_path: Path):
    assert read_refusals(ring_file(tmp_path)) == []


def test_lines_that_are_no_refusals_are_passed_over(tmp_path: Path):
    file = ring_file(tmp_path)
    file.write_bytes(b'{"connId": "a"}\nhalf a li\n[]\n{"connId": 7}\n\xff\n{"connId": "b"}')

    assert [one["connId"] for one in read_refusals(file)] == ["a", "b"]


def test_a_symbolic_link_is_not_followed(tmp_path: Path):
    (tmp_path / "refusals.jsonl").symlink_to("/etc/passwd")

    with pytest.raises(StoreError, match="symbolic link"):
        read_refusals(ring_file(tmp_path))


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        pytest.param("last", [2], id="last"),
        pytest.param("7KQM-2XHT", [1, 0], id="request"),
        pytest.param(" 7kqm2xht ", [1, 0], id="other-spelling"),
        pytest.param(CONN, [0], id="connection"),
        pytest.param(CONN[:8], [0], id="beginning"),
        pytest.param(CONN[:5], [], id="too-short"),
        pytest.param("99999999", [1], id="logged-earlier"),
        pytest.param("ab" * 32, [0], id="device"),
        pytest.param("7KQM", [], id="half-a-request"),
        pytest.param("", [], id="nothing"),
        pytest.param("--", [], id="dashes"),
    ],
)
def test_an_id_means_the_refusals_it_names_newest_first(reference: str, found: list[int]):
    assert meant_by(reference, ENTRIES) == [ENTRIES[at] for at in found]
