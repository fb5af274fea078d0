"""A mode is changed and the gateway restarted by the command that is named: nobody is locked out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.scenarios.programs import Finished, Gateway, free_port, running_gateway

pytestmark = pytest.mark.slow

SECTION = {
    "auth": {
        "mode": "token",
        "token": "the-token-of-this-gateway",
        "password": "the-password-of-this-gateway",
        "trustedProxy": {"userHeader": "x-user"},
    },
    "trustedProxies": ["10.0.0.1"],
}


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Write a configuration that has what each mode needs; return the state directory."""
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    section = SECTION | {"port": free_port()}
    (state_dir / "openclaw.json").write_text(json.dumps({"gateway": section}))
    return state_dir


def port_of(state_dir: Path) -> int:
    """Return the configured port."""
    port: int = json.loads((state_dir / "openclaw.json").read_text())["gateway"]["port"]
    return port


def change(gateway: Gateway, mode: str) -> None:
    """Set the mode, as a user does who reads what is to be done next."""
    done = gateway.openclaw("config", "set", "gateway.auth.mode", mode)
    assert done.code == 0, done
    assert "Restart it with `openclaw gateway restart`" in done.out + done.err


@pytest.mark.parametrize("mode", ["trusted-proxy", "none", "password"])
def test_there_and_back_again_by_the_command_that_is_named(state_dir: Path, mode: str) -> None:
    with running_gateway(state_dir, port=port_of(state_dir), pinned=False) as gateway:
        assert gateway.openclaw("health").code == 0
        for wanted in (mode, "token"):
            change(gateway, wanted)
            restarted = gateway.openclaw("gateway", "restart")
            well = gateway.openclaw("health")

            assert restarted.code == 0, restarted
            assert well.code == 0, well


def told_to_end(gateway: Gateway, refused: Finished) -> None:
    """Check that the way that needs no secret is the last thing said."""
    last = refused.err.splitlines()[-1]
    assert refused.code == 1, refused
    assert f"`kill {gateway.process.pid}`" in last
    assert "`openclaw gateway run`" in last
    assert gateway.end() == 0


@pytest.mark.parametrize("allowed", [False, True], ids=["proxy-elsewhere", "proxy-on-loopback"])
@pytest.mark.parametrize("lost", [False, True], ids=["paired", "identity-lost"])
def test_from_a_proxy_back_to_a_token(state_dir: Path, allowed: bool, lost: bool) -> None:
    with running_gateway(state_dir, port=port_of(state_dir), pinned=False) as gateway:
        assert gateway.openclaw("health").code == 0
        behind_a_proxy(gateway, allowed=allowed)
        change(gateway, "token")
        if lost:
            shutil.rmtree(state_dir / "identity")

        restarted = gateway.openclaw("gateway", "restart")
        well = gateway.openclaw("health")

        assert restarted.code == 0, restarted
        assert well.code == 0, well


@pytest.mark.parametrize("allowed", [False, True], ids=["proxy-elsewhere", "proxy-on-loopback"])
def test_who_has_nothing_that_counts_any_more_is_told_the_way_without(
    state_dir: Path, allowed: bool
) -> None:
    with running_gateway(state_dir, port=port_of(state_dir), pinned=False) as gateway:
        assert gateway.openclaw("health").code == 0
        behind_a_proxy(gateway, allowed=allowed)
        # else the command lets itself in again by the files
        alone = ("config", "set", "gateway.pairing.autoApproveLocal", "false")
        assert gateway.openclaw(*alone).code == 0
        change(gateway, "token")
        shutil.rmtree(state_dir / "identity")

        refused = gateway.openclaw("gateway", "restart", "--json")

        code = "AUTH_IDENTITY_HEADER_REQUIRED" if allowed else "AUTH_UNAUTHORIZED"
        assert refused.json["error"]["details"]["code"] == code
        told_to_end(gateway, refused)


def behind_a_proxy(gateway: Gateway, *, allowed: bool) -> None:
    """Let a proxy sign users in, from this machine if ``allowed``."""
    if allowed:
        here = ("gateway.trustedProxies", '["127.0.0.1"]')
        for words in (here, ("gateway.auth.trustedProxy.allowLoopback", "true")):
            assert gateway.openclaw("config", "set", *words).code == 0
    change(gateway, "trusted-proxy")
    assert gateway.openclaw("gateway", "restart").code == 0
