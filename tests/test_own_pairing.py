"""Whose gateway a command may let itself in at, by writing its files."""

from __future__ import annotations

import os

import pytest

from cli.own_pairing import is_own
from stores.running import Running, Standing

ME = os.geteuid()


@pytest.mark.parametrize(
    ("uid", "standing", "own"),
    [
        pytest.param(ME, Standing.RUNS, True, id="own"),
        # root would leave files in the store that its owner can then not write
        pytest.param(ME + 1, Standing.RUNS, False, id="of-another-user"),
        pytest.param(None, Standing.RUNS, False, id="of-nobody-known"),
        pytest.param(ME, Standing.STOPPED, False, id="stopped"),
        pytest.param(ME, Standing.ENDED, False, id="ended"),
        pytest.param(ME, Standing.ELSEWHERE, False, id="of-another-container"),
    ],
)
def test_only_a_gateway_of_this_very_user_that_runs_is_ours_to_write_for(uid, standing, own):
    assert is_own(Running(standing=standing, pid=1, uid=uid)) is own
