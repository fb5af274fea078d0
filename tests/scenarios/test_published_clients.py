"""Clients that others wrote and published connect, list and approve, unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.clients import knock, new_key
from tests.scenarios.clients import stranger as stranger_words
from tests.scenarios.programs import (
    FORWARDS,
    Gateway,
    eventually,
    running_gateway,
    running_nginx,
)

SCRIPT = Path(__file__).with_name("npm_client.mjs")
pytestmark = pytest.mark.slow


def npm_client(
    folder: Path, port: int, token: str | None, *calls: Any, **options: Any
) -> list[Any]:
    """Run the npm client once; return what it saw, one object a line."""
    folder.mkdir(exist_ok=True)
    secret = {} if token is None else {"token": token}
    words = {"url": f"ws://127.0.0.1:{port}"} | secret | options
    done = subprocess.run(
        ["node", str(SCRIPT), str(folder), json.dumps(words)]
        + [word if isinstance(word, str) else json.dumps(word) for word in calls],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    return lines


def seen(lines: list[Any], key: str) -> Any:
    """Return the first line that has ``key``."""
    return next((line for line in lines if key in line), None)


def stranger(gateway: Gateway, proxy: int, folder: Path) -> str:
    """Let the npm client knock from outside and return the request id it was told."""
    lines = npm_client(folder, proxy, gateway.token, scopes=["operator.read", "operator.pairing"])
    refused = seen(lines, "refused")
    assert refused is not None, lines
    assert refused["details"]["code"] == "PAIRING_REQUIRED"
    request_id: str = refused["details"]["requestId"]
    assert refused["refused"].endswith(f"(requestId: {request_id})")
    return request_id


@pytest.mark.real("node", "npm-client", "nginx")
def test_the_npm_client_is_refused_approved_and_let_in(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
    ):
        request_id = stranger(gateway, proxy, tmp_path / "phone")

        approved = gateway.openclaw("devices", "approve", request_id.lower())
        lines = npm_client(
            tmp_path / "phone",
            proxy,
            gateway.token,
            *("health", {}, "device.pair.list", {}, "status", {}),
            scopes=["operator.read", "operator.pairing"],
        )

    assert approved.code == 0, approved
    hello = seen(lines, "hello")["hello"]
    assert hello["protocol"] == 4
    assert hello["auth"]["scopes"] == ["operator.pairing", "operator.read"]
    results = {line["method"]: line["result"] for line in lines if "result" in line}
    assert results["health"]["ok"] is True
    assert len(results["device.pair.list"]["paired"]) == 2
    assert seen(lines, "gap") is None


@pytest.mark.real("node", "npm-client", "nginx")
def test_the_npm_client_approves_another_device(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
    ):
        request_id = stranger(gateway, proxy, tmp_path / "phone")

        lines = npm_client(
            tmp_path / "desk",
            gateway.port,
            gateway.token,
            *("device.pair.list", {}, "device.pair.approve", {"requestId": request_id}),
            scopes=["operator.admin", "operator.pairing"],
        )

    results = {line["method"]: line["result"] for line in lines if "result" in line}
    (waiting,) = results["device.pair.list"]["pending"]
    assert waiting["requestId"] == request_id
    assert results["device.pair.approve"]["requestId"] == request_id


@pytest.mark.real("node", "npm-client", "nginx")
def test_the_npm_client_comes_back_with_its_device_token_alone(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
    ):
        request_id = stranger(gateway, proxy, tmp_path / "phone")
        assert gateway.openclaw("devices", "approve", request_id).code == 0
        npm_client(tmp_path / "phone", proxy, gateway.token, scopes=["operator.read"])

        lines = npm_client(tmp_path / "phone", proxy, None, scopes=["operator.read"])

    assert seen(lines, "hello")["hello"]["auth"]["method"] == "device-token"


@pytest.mark.real("node", "npm-client", "nginx")
@pytest.mark.parametrize(("verb", "becomes"), [("approve", "approved"), ("reject", "rejected")])
def test_the_npm_client_asks_for_more_and_waits(tmp_path: Path, verb: str, becomes: str) -> None:
    phone = tmp_path / "phone"
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
        ThreadPoolExecutor(1) as beside,
    ):
        lines = npm_client(phone, proxy, gateway.token, scopes=["operator.read"])
        request_id = seen(lines, "refused")["details"]["requestId"]
        assert gateway.openclaw("devices", "approve", request_id).code == 0
        calls: tuple[Any, ...] = ("upgrade", {"scopes": ["operator.write"]}, "node.invoke", {})
        asking = beside.submit(
            npm_client, phone, proxy, gateway.token, *calls, scopes=["operator.read"]
        )
        eventually(lambda: gateway.kept("pending.json"))
        (waiting,) = gateway.kept("pending.json")
        assert gateway.openclaw("devices", verb, waiting).code == 0
        lines = asking.result()

    assert seen(lines, "pending")["pending"] == waiting
    result = next(line["result"] for line in lines if line.get("method") == "upgrade")
    assert (result["status"], result["requestId"]) == (becomes, waiting)
    missing = "missing scope: operator.write" in seen(lines, "failed")["failed"]
    assert missing is (verb == "reject")
    if verb == "approve":
        assert result["scopes"] == ["operator.read", "operator.write"]
        kept = json.loads((phone / "device-token.json").read_text())
        tokens = [one["tokens"] for one in gateway.kept("paired.json").values()]
        assert kept["token"] in [one["operator"]["token"] for one in tokens]


SDK_PROGRAM = """
import asyncio, json, sys
from openclaw_sdk.devices.manager import DeviceManager
from openclaw_sdk.gateway.protocol import ProtocolGateway

async def talk():
    gateway = ProtocolGateway(sys.argv[1], token=None)
    await gateway.connect()
    health = await gateway.health()
    devices = DeviceManager(gateway)
    before = await devices.list_paired()
    approved = [await devices.approve_pairing(item["requestId"]) for item in before["pending"]]
    await gateway.close()
    print(json.dumps({"healthy": health.healthy, "before": before, "approved": approved}))

asyncio.run(talk())
"""


@pytest.mark.real("openclaw-sdk", "node", "npm-client", "nginx")
def test_the_python_sdk_lists_and_approves_with_the_identity_of_this_machine(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with (
        running_gateway(home / ".openclaw") as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as proxy,
    ):
        assert gateway.openclaw("health").code == 0  # leaves identity and device token there
        request_id = stranger(gateway, proxy, tmp_path / "phone")

        done = subprocess.run(
            [sys.executable, "-c", SDK_PROGRAM, f"ws://127.0.0.1:{gateway.port}/gateway"],
            env=os.environ | {"HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["healthy"] is True
    assert [item["requestId"] for item in said["approved"]] == [request_id]


SDK_LIFE = """
import asyncio, json, sys
from openclaw_sdk.devices.manager import DeviceManager
from openclaw_sdk.gateway.protocol import ProtocolGateway

async def attempt(call):
    try:
        return await call
    except Exception as error:
        return {"error": str(error)}

async def talk():
    gateway = ProtocolGateway(sys.argv[1], token=None)
    await gateway.connect()
    devices, phone, tablet = DeviceManager(gateway), *sys.argv[2:]
    said = {"rotated": await devices.rotate_token(phone, "operator")}
    said["revoked"] = await devices.revoke_token(phone, "operator")
    said["removed"] = await devices.remove_device(phone)
    said["again"] = await attempt(devices.remove_device(phone))
    (waiting,) = (await devices.list_paired())["pending"]
    said["rejected"] = await devices.reject_pairing(waiting["requestId"])
    said["tablet"] = waiting["deviceId"] == tablet
    said["left"] = await devices.list_paired()
    await gateway.close()
    print(json.dumps(said))

asyncio.run(talk())
"""


@pytest.mark.real("openclaw-sdk")
def test_the_python_sdk_rotates_revokes_removes_and_rejects(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_gateway(home / ".openclaw") as gateway:
        assert gateway.openclaw("health").code == 0  # leaves identity and device token there
        phone, tablet = new_key(), new_key()
        ids = [phone.device_id, tablet.device_id]
        words = stranger_words(gateway.token, key=phone)
        assert (
            gateway.openclaw("devices", "approve", knock(gateway.port, **words).request_id).code
            == 0
        )
        assert knock(gateway.port, **words).admitted
        knock(gateway.port, **stranger_words(gateway.token, key=tablet))

        done = subprocess.run(
            [sys.executable, "-c", SDK_LIFE, f"ws://127.0.0.1:{gateway.port}/gateway", *ids],
            env=os.environ | {"HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        after = knock(gateway.port, **words)

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["rotated"]["tokenDelivery"] == "withheld-cross-device"
    assert "token" not in said["rotated"]
    assert said["revoked"]["deviceId"] == said["removed"]["deviceId"] == phone.device_id
    assert "unknown deviceId" in said["again"]["error"]
    assert said["rejected"]["deviceId"] == tablet.device_id
    assert said["tablet"] is True
    assert said["left"]["pending"] == []
    assert phone.device_id not in [item["deviceId"] for item in said["left"]["paired"]]
    assert after.details["reason"] == "not-paired"  # forgotten: it asks anew
