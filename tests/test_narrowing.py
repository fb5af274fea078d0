"""A narrower configuration, held against the sessions that are open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.patience import wait_until, within
from tests.serving import TOKEN, open_gateway, write_config
from tests.wire import open_wire

pytestmark = pytest.mark.slow  # a change is looked for twice a second

READ = ("operator.read",)
UI, OTHER = "https://ui.example", "https://other.example"
ALICE = (("X-User", "alice"), ("X-Signed", "1"))


def by_proxy(*proxies: str, **changes: Any) -> dict[str, Any]:
    """Return a configuration of mode trusted-proxy."""
    rule = {"userHeader": "x-user", "allowLoopback": True} | changes
    auth = {"mode": "trusted-proxy", "trustedProxy": rule}
    return {"auth": auth, "trustedProxies": list(proxies or ("127.0.0.1",))}


async def test_the_pages_of_a_list_go_when_the_list_is_cut(tmp_path: Path):
    before: dict[str, object] = {"controlUi": {"allowedOrigins": [UI, OTHER]}}
    async with (
        open_gateway(tmp_path / "s", before) as gateway,
        open_wire(gateway.port, origin=UI) as cut,
        open_wire(gateway.port, origin=OTHER) as kept,
        open_wire(gateway.port, origin=f"http://127.0.0.1:{gateway.port}") as own,
        open_wire(gateway.port) as plain,
    ):
        for wire in (cut, kept, own, plain):
            assert (await wire.connect(token=TOKEN, scopes=READ))["ok"]

        write_config(gateway.state_dir, {"controlUi": {"allowedOrigins": [OTHER]}})

        async with within(2):
            assert await cut.closed() == (4001, "gateway policy changed")
        for wire in (kept, own, plain):
            assert (await wire.call("system-presence"))["type"] == "res"


async def test_the_page_of_another_public_origin_goes(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "s", {"publicOrigin": UI}) as gateway,
        open_wire(gateway.port, origin=UI, host="ui.example") as page,
    ):
        assert (await page.connect(token=TOKEN, scopes=READ))["ok"]

        write_config(gateway.state_dir, {"publicOrigin": OTHER})

        async with within(2):
            assert await page.closed() == (4001, "gateway policy changed")


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(by_proxy(allowUsers=["bob"]), id="user"),
        pytest.param(by_proxy("10.0.0.1"), id="proxy"),
        pytest.param(by_proxy(allowLoopback=False), id="loopback"),
        pytest.param(by_proxy(requiredHeaders=["x-signed"]), id="required-header"),
        pytest.param(by_proxy(userHeader="x-name"), id="user-header"),
    ],
)
async def test_a_user_who_would_not_be_let_in_any_more_is_ended(
    tmp_path: Path, after: dict[str, Any]
):
    async with (
        open_gateway(tmp_path / "s", by_proxy()) as gateway,
        open_wire(gateway.port, headers=ALICE) as wire,
    ):
        assert (await wire.connect())["ok"]

        write_config(gateway.state_dir, after)

        async with within(2):
            assert await wire.closed() == (4001, "gateway auth changed")


async def test_who_would_still_be_let_in_stays(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "s", by_proxy()) as gateway,
        open_wire(gateway.port, headers=ALICE) as wire,
    ):
        assert (await wire.connect())["ok"]
        before = gateway.runtime.settings

        write_config(gateway.state_dir, by_proxy(allowUsers=["alice"]))
        await wait_until(lambda: gateway.runtime.settings is not before, within_s=2)

        assert (await wire.call("device.pair.list"))["type"] == "res"


async def test_a_mode_that_waits_for_a_restart_keeps_what_its_users_are_judged_by(tmp_path: Path):
    async with (
        open_gateway(tmp_path / "s", by_proxy()) as gateway,
        open_wire(gateway.port, headers=ALICE) as wire,
    ):
        assert (await wire.connect())["ok"]

        changed = by_proxy()
        changed["auth"] |= {"mode": "token", "token": TOKEN}
        write_config(gateway.state_dir, changed)
        await wait_until(lambda: gateway.runtime.restart_required, within_s=2)

        async with open_wire(gateway.port) as by_token:
            assert not (await by_token.connect(token=TOKEN))["ok"]
        assert gateway.runtime.settings.proxy is not None
