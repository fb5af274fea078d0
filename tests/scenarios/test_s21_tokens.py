"""S21: a token is changed while the gateway runs, and a wrong one is told from where it came."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.patience import within
from tests.scenarios.clients import knock, new_key
from tests.scenarios.programs import openclaw, running_gateway
from tests.scenarios.test_s29_live_edits import TOKEN, written
from tests.scenarios.timing import timed
from tests.wire import open_wire

pytestmark = pytest.mark.slow

NEW = "the-token-that-comes-after"
READ = ("operator.read",)


def test_a_new_token_counts_within_two_seconds_and_devices_keep_theirs(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    (tmp_path / "token").write_text(NEW)
    with running_gateway(state_dir) as gateway:
        key = new_key()
        device_token = knock(gateway.port, key=key, token=TOKEN, scopes=READ).auth["deviceToken"]

        async def rotate() -> None:
            async with open_wire(gateway.port) as shared, open_wire(gateway.port) as device:
                assert (await shared.connect(token=TOKEN, scopes=READ))["ok"]
                assert (await device.connect(key=key, device_token=device_token))["ok"]
                file = str(tmp_path / "token")
                words = ("config", "set", "gateway.auth.token", "--from-file", file)
                done = await trio.to_thread.run_sync(lambda: openclaw(state_dir, *words))
                assert done.code == 0, done.err
                assert "Applies live" in done.out
                assert NEW not in done.out + done.err
                async with within(2):
                    assert await shared.closed() == (4001, "gateway auth changed")
                assert (await device.call("health"))["ok"]

        trio.run(rotate)

        assert knock(gateway.port, token=NEW, scopes=READ).admitted
        assert (
            knock(gateway.port, token=TOKEN, scopes=READ).details["code"] == "AUTH_TOKEN_MISMATCH"
        )
        assert knock(gateway.port, key=key, device_token=device_token).admitted
        assert gateway.process.poll() is None
        assert NEW not in gateway.said()
        assert all(NEW not in str(line) for line in gateway.logged())


def test_a_wrong_token_names_where_it_came_from_even_the_fifth_time(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    with running_gateway(state_dir) as gateway:
        for _ in range(5):
            done, took_s = timed(gateway, "health", "--token", "not-the-right-one", "--json")

            assert done.code == 1
            assert done.json["error"]["code"] == "INVALID_REQUEST"
            assert done.json["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
            assert done.json["gateway"]["credentialSource"] == "--token"
            assert took_s < 2


def test_another_token_in_the_environment_breaks_no_local_command(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw("health", env={"OPENCLAW_GATEWAY_TOKEN": "of-another-machine"})

    assert done.code == 0, done.err
