from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cli.failures import CallError, GatewayRefusedError, GatewayUnreachableError
from cli.place import Place, TargetOptions
from cli.road import Road, ask, find_road
from gateway.protocol.connect import ConnectParams
from stores.config.history import record_good
from stores.config.load import load_config
from stores.errors import ConfigError, UserFacingError
from stores.identity import CachedToken, TokenCache, open_identity
from stores.port_owner import start_time_of
from stores.target import PlaintextRefusedError
from tests.peers import FakeGateway, closed_port, listening, silent

ISSUED = {"auth": {"role": "operator", "scopes": ["operator.admin"], "deviceToken": "D3VICE"}}
MISMATCH = {
    "code": "INVALID_REQUEST",
    "message": "unauthorized: gateway token mismatch",
    "details": {"code": "AUTH_TOKEN_MISMATCH", "canRetryWithDeviceToken": True},
}
DEVICE_MISMATCH = {
    "code": "INVALID_REQUEST",
    "message": "unauthorized: device token mismatch (rotate/reissue device token)",
    "details": {"code": "AUTH_DEVICE_TOKEN_MISMATCH"},
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A machine without files, with a command running on it."""
    place = Place({"OPENCLAW_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)})
    with click.Context(click.Command("test"), obj=place):
        yield place


def test_the_configured_token_goes_to_this_machines_gateway(here: Place):
    gateway = FakeGateway(answers={"health": {"ok": True}})

    with listening(gateway) as port:
        answer = ask(a_road(here, port), "health", timeout_s=5)

    assert answer.payload == {"ok": True}
    assert gateway.connects[0].auth.token == "T0KEN"


def test_an_issued_device_token_is_kept(here: Place):
    with listening(FakeGateway(answers={"health": {}}, hello=ISSUED)) as port:
        ask(a_road(here, port), "health", timeout_s=5)

    kept = cache_of(here).get("operator")
    assert kept is not None
    assert (kept.token, kept.scopes) == ("D3VICE", ("operator.admin",))


def test_a_token_issued_elsewhere_is_kept_apart(here: Place):
    with listening(FakeGateway(answers={"health": {}}, hello=ISSUED)) as port:
        url = f"ws://127.0.0.1:{port}"
        ask(find_road(TargetOptions(url=url, token="T")), "health", timeout_s=5)

    assert cache_of(here).get("operator") is None
    assert cache_of(here, url).get("operator") is not None


def test_without_a_secret_the_devices_own_token_is_presented(here: Place):
    gateway = FakeGateway(answers={"health": {}})

    with listening(gateway) as port:
        url = f"ws://127.0.0.1:{port}"
        cache_of(here, url).save(CachedToken("D3VICE", "operator"))
        ask(find_road(TargetOptions(url=url)), "health", timeout_s=5)

    assert gateway.connects[0].auth.device_token == "D3VICE"
    assert gateway.connects[0].auth.token is None
    assert gateway.problems == []


def test_nothing_is_dialled_without_any_credential(here: Place):
    gateway = FakeGateway(answers={"health": {}})

    with listening(gateway) as port:
        road = find_road(TargetOptions(url=f"ws://127.0.0.1:{port}"))
        with pytest.raises(CallError) as caught:
            ask(road, "health", timeout_s=5)

    assert gateway.connects == []
    assert caught.value.kind == "refused"
    assert "--token" in caught.value.problem


def test_a_machine_without_a_token_is_told_to_start_its_gateway(here: Place):
    with pytest.raises(CallError) as caught:
        ask(find_road(TargetOptions()), "health", timeout_s=5)

    assert "`openclaw gateway run`" in (caught.value.cause.remedy or "")


def test_a_refused_device_token_is_forgotten(here: Place):
    with listening(FakeGateway(refusal=DEVICE_MISMATCH)) as port:
        url = f"ws://127.0.0.1:{port}"
        cache_of(here, url).save(CachedToken("D3VICE", "operator"))
        road = find_road(TargetOptions(url=url))
        with pytest.raises(CallError):
            ask(road, "health", timeout_s=5)

    assert cache_of(here, url).get("operator") is None


def test_a_stale_configured_secret_gives_way_to_the_devices_own_token(
    here: Place, capsys: pytest.CaptureFixture[str]
):
    gateway = FakeGateway(answers={"health": {"ok": True}}, refusal=only_device_tokens)
    cache_of(here).save(CachedToken("D3VICE", "operator"))

    with listening(gateway) as port:
        answer = ask(a_road(here, port), "health", timeout_s=5)

    assert answer.payload == {"ok": True}
    assert [params.auth.device_token for params in gateway.connects] == [None, "D3VICE"]
    assert "gateway.auth.token" in capsys.readouterr().err


def test_a_wrong_secret_given_by_hand_is_never_glossed_over(here: Place):
    gateway = FakeGateway(refusal=only_device_tokens)
    cache_of(here).save(CachedToken("D3VICE", "operator"))

    with listening(gateway) as port:
        road = a_road(here, port, token="WRONG")
        with pytest.raises(CallError) as caught:
            ask(road, "health", timeout_s=5)

    assert len(gateway.connects) == 1
    assert isinstance(caught.value.cause, GatewayRefusedError)
    assert caught.value.about.credential_source == "--token"


def test_a_secret_on_the_command_line_is_warned_of(here: Place, capsys: pytest.CaptureFixture[str]):
    find_road(TargetOptions(token="T"))

    assert "every user of this machine" in capsys.readouterr().err


def test_a_failure_names_the_gateway_and_how_to_start_it(here: Place):
    port = closed_port()

    with pytest.raises(CallError) as caught:
        ask(a_road(here, port), "health", timeout_s=5)

    about = caught.value.about
    assert about.url == f"ws://127.0.0.1:{port}"
    assert about.config_path == str(here.paths.config_path)
    assert about.bind == "loopback"
    assert "`openclaw gateway run`" in (caught.value.cause.remedy or "")


def test_a_failure_elsewhere_names_no_bind(here: Place):
    road = find_road(TargetOptions(url=f"ws://127.0.0.1:{closed_port()}", token="T"))

    with pytest.raises(CallError) as caught:
        ask(road, "health", timeout_s=5)

    assert caught.value.about.bind is None
    assert caught.value.about.url_source == "--url"
    assert "`openclaw gateway run`" not in (caught.value.cause.remedy or "")


def test_a_silent_port_is_named_with_who_holds_it(here: Place):
    with listening(silent) as port, pytest.raises(CallError) as caught:
        ask(a_road(here, port), "health", timeout_s=0.1)

    cause = caught.value.cause
    assert isinstance(cause, GatewayUnreachableError)
    assert "the port is held by process" in cause.problem
    assert "pid" in cause.details["portHolder"]


def test_an_identity_that_cannot_be_used_fails_the_call(here: Place):
    road = a_road(here, 1)
    here.paths.identity_dir.mkdir()
    (here.paths.identity_dir / "device.json").write_text("{}")

    with pytest.raises(CallError) as caught:
        ask(road, "health", timeout_s=5)

    assert caught.value.kind == "store"


def test_a_secret_never_crosses_a_network_in_clear(here: Place):
    with pytest.raises(PlaintextRefusedError):
        find_road(TargetOptions(url="ws://192.0.2.1:18789", token="T"))


def test_secrets_are_not_in_reprs(here: Place):
    road = a_road(here, 1, token="S3CRET")

    assert "S3CRET" not in repr(TargetOptions(token="S3CRET", password="S3CRET"))
    assert "S3CRET" not in repr(road.credentials)


def test_a_broken_rule_of_the_configuration_is_told(here: Place):
    here.paths.state_dir.mkdir()
    here.paths.config_path.write_text('{"gateway": {"port": "x"}}')

    with pytest.raises(UserFacingError) as caught:
        find_road(TargetOptions())

    assert caught.value.kind == "config"


def a_road(here: Place, port: int, **words: Any) -> Road:
    here.paths.state_dir.mkdir(exist_ok=True)
    gateway = {"port": port, "auth": {"token": "T0KEN"}}
    here.paths.config_path.write_text(json.dumps({"gateway": gateway}))
    return find_road(TargetOptions(**words))


def cache_of(here: Place, url: str | None = None) -> TokenCache:
    folder = here.paths.identity_dir
    identity = open_identity(folder, now_ms=int(time.time() * 1000))
    return TokenCache(folder, identity.device_id, url)


def only_device_tokens(params: ConnectParams) -> dict[str, Any] | None:
    return None if params.auth.device_token else MISMATCH


@pytest.mark.parametrize("same", [True, False], ids=["its-own", "an-earlier-one"])
def test_a_broken_file_is_stood_in_for_by_what_the_running_gateway_took_in(
    here: Place, capsys: pytest.CaptureFixture[str], *, same: bool
):
    paths = here.paths
    paths.state_dir.mkdir()
    paths.config_path.write_text('{"gateway": {"port": 18795, "auth": {"token": "T0KEN"}}}')
    good = load_config(paths, here.env)
    record_good(paths, good)
    digest = good.digest if same else "another"
    note = {"pid": os.getpid(), "startTime": start_time_of(os.getpid()), "configDigest": digest}
    paths.lock_path.write_text(json.dumps(note))
    paths.config_path.write_text("{")

    if same:
        assert find_road(TargetOptions()).target.port == 18795
        assert "this asks with what the running gateway took in" in capsys.readouterr().err
    else:
        with pytest.raises(ConfigError):
            find_road(TargetOptions())
