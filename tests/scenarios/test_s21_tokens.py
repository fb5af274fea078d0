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


SAID_OF_A_MISMATCH = "unauthorized: gateway token mismatch; the credential came from"


@pytest.mark.parametrize(
    ("verb", "code"), [(("list",), 0), (("approve", "AAAA-BBBB"), 1)], ids=["list", "approve"]
)
def test_the_files_stand_in_for_a_wrong_token_that_is_told_by_its_source(
    tmp_path: Path, verb: tuple[str, ...], code: int
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    (tmp_path / "wrong").write_text("not-the-right-one")
    file = f"--token-file {tmp_path}/wrong"
    with running_gateway(state_dir) as gateway:
        by_word = gateway.openclaw("devices", *verb, "--token", "not-the-right-one")
        by_file = gateway.openclaw("devices", *verb, *file.split())

    assert (by_word.code, by_file.code) == (code, code)
    for done, source in ((by_word, "--token"), (by_file, file)):
        said = f"{SAID_OF_A_MISMATCH} {source}: leave it out; using the local state in "
        assert said in done.err
        assert "gateway.remote" not in done.err
        assert "not-the-right-one" not in done.err


def test_the_way_to_the_right_token_is_the_one_that_status_knows(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    pinned = tmp_path / "pinned"
    pinned.write_text(NEW)
    wrong = ("--token", "not-the-right-one")
    with running_gateway(state_dir, "--token-file", str(pinned)) as gateway:
        by_flag = gateway.openclaw("health", *wrong, "--json")
        by_config = gateway.openclaw("health", "--json")
        listed = gateway.openclaw("devices", "list")
        probed = gateway.openclaw("gateway", "status", *wrong, "--json")

    assert by_flag.json["error"]["message"] == "unauthorized: gateway token mismatch"
    way = "give that file here too: `openclaw {} --token-file " + f"{pinned}`"
    for done in (by_flag, by_config):
        assert done.json["error"]["remedy"]["sentence"] == way.format("health")
        assert f"has its token from --token-file {pinned}" in done.err
    told = f"gateway.auth.token in {state_dir}/openclaw.json: {way.format('devices list')}; "
    assert f"{SAID_OF_A_MISMATCH} {told}" in listed.err
    told = probed.json["verdicts"]["authorisation"]["remedy"]["sentence"]
    assert told == way.format("gateway status")


def test_a_variable_with_another_token_is_not_taken_away_in_vain(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    (state_dir / "openclaw.json").write_text("{gateway: {}}")
    (tmp_path / "pinned").write_text(NEW)
    wrong = {"OPENCLAW_GATEWAY_TOKEN": "of-another-machine"}
    with running_gateway(state_dir, "--token-file", str(tmp_path / "pinned")) as gateway:
        done = gateway.openclaw("devices", "list", env=wrong)

    way = f"give that file here too: `openclaw devices list --token-file {tmp_path}/pinned`"
    assert done.code == 0, done.err
    assert f"{SAID_OF_A_MISMATCH} env OPENCLAW_GATEWAY_TOKEN: {way}; using the local" in done.err
    assert "`unset" not in done.err


def test_another_token_in_the_environment_breaks_no_local_command(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir)
    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw("health", env={"OPENCLAW_GATEWAY_TOKEN": "of-another-machine"})

    assert done.code == 0, done.err
