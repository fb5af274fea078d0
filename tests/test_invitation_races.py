"""Two that bring one invitation at the same moment, as threads and as processes: one gets in."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import pytest

from stores.errors import NotAllowedError
from stores.invitations import Terms, invite, redeem_invitation
from stores.records import Role
from tests.builders import CLI, NOW_MS, a_store, a_wish, key_pair
from tests.imports import ROOT

NODE = Role.NODE
SECRET = "the-secret-of-an-invitation"
A_NODE = Terms(NODE, (), "node")


def test_of_many_threads_one_redeems(tmp_path):
    store, won = a_store(tmp_path), list[int]()
    store.one(partial(invite, token=SECRET, terms=A_NODE, caller=CLI), now_ms=NOW_MS)

    def race(seed: int) -> None:
        mine = a_store(tmp_path)
        mine.lock_timeout_s = 60
        try:
            wish = a_wish(seed, role=NODE)
            mine.one(partial(redeem_invitation, token=SECRET, wish=wish), now_ms=NOW_MS)
        except NotAllowedError:
            return
        won.append(seed)

    racers = [threading.Thread(target=race, args=(seed,)) for seed in range(1, 9)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert len(won) == 1
    assert list(store.read().paired) == [key_pair(won[0]).device_id]


RACE = """
import sys
from functools import partial
from pathlib import Path
from stores.errors import NotAllowedError
from stores.invitations import redeem_invitation
from tests.builders import NOW_MS, a_store, a_wish
store = a_store(Path(sys.argv[1]))
store.lock_timeout_s = 60
sys.stdin.readline()
try:
    wish = a_wish(int(sys.argv[2]), role="node")
    store.one(partial(redeem_invitation, token=sys.argv[3], wish=wish), now_ms=NOW_MS)
    print("in")
except NotAllowedError as error:
    print(error)
"""


@pytest.mark.slow
def test_of_two_processes_one_redeems(tmp_path):
    store = a_store(tmp_path)
    store.one(partial(invite, token=SECRET, terms=A_NODE, caller=CLI), now_ms=NOW_MS)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path), str(seed), SECRET],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()

    said = sorted(racer.communicate(timeout=60)[0].strip() for racer in racers)

    assert said == ["in", "the setup code is used"]
    assert len(store.read().paired) == 1
