"""Whatever command comes first, none that comes after it is refused: scopes never deadlock."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.scenarios.clients import FROM_AFAR, READ, knock, new_key, stranger
from tests.scenarios.programs import Gateway, running_gateway

pytestmark = pytest.mark.slow

#: What people type first on a new machine, in any order.
FIRST_WORDS = {
    "health": ("health",),
    "status": ("status",),
    "gateway-status": ("gateway", "status"),
    "doctor": ("doctor",),
    "devices-list": ("devices", "list"),
    "logs": ("logs",),
    "config-get": ("gateway", "call", "config.get"),
}

#: Those that need a session of this machine's own device; the others look and leave no record.
PAIRS = {"health", "devices-list", "config-get"}

#: Calls of methods with different scopes.
COMMANDS = {
    "health": ("health",),
    "list": ("devices", "list"),
    "status": ("gateway", "call", "status"),
    "config": ("gateway", "call", "config.get"),
    "presence": ("gateway", "call", "system-presence"),
}


@frozen
class Told:
    """How commands ended, one after the other on a fresh machine, and what they left there."""

    codes: tuple[int, ...]
    devices: int
    pending: dict[str, Any]
    events: tuple[str, ...]
    fell_back: bool
    refused: bool


def told_of(state_dir: Path, names: tuple[str, ...]) -> Told:
    """Run commands against a gateway that nobody has called before."""
    with running_gateway(state_dir) as gateway:
        done = [gateway.openclaw(*FIRST_WORDS[name]) for name in names]
        said = gateway.said()
    trail = gateway.devices / "audit.jsonl"
    lines = trail.read_text().splitlines() if trail.exists() else []
    return Told(
        tuple(one.code for one in done),
        len(gateway.kept("paired.json")),
        gateway.kept("pending.json"),
        tuple(json.loads(line)["event"] for line in lines),
        fell_back="local state" in "".join(one.err for one in done),
        refused="refused" in said,
    )


def test_on_a_fresh_machine_any_command_may_come_first(tmp_path: Path) -> None:
    orders = list(itertools.permutations(FIRST_WORDS, 2))
    homes = [tmp_path / "-".join(order) / ".openclaw" for order in orders]

    with ThreadPoolExecutor(max_workers=2) as pool:  # each pair has a gateway of its own
        told = dict(zip(orders, pool.map(told_of, homes, orders), strict=True))

    assert len(told) == 42
    wrong = {order: found for order, found in told.items() if found != expected(order)}
    assert wrong == {}


def expected(order: tuple[str, ...]) -> Told:
    """Return how commands are to end: all well, with one record if one of them pairs."""
    paired = int(any(name in PAIRS for name in order))
    events = ("device.approved",) * paired
    return Told((0,) * len(order), paired, {}, events, fell_back=False, refused=False)


def paired_for_reading_only(state_dir: Path) -> dict[str, Any]:
    """Leave a state directory whose own device was approved for operator.read; return its record."""
    with running_gateway(state_dir) as gateway:
        assert gateway.openclaw("health").code == 0
    file = gateway.devices / "paired.json"
    paired: dict[str, Any] = json.loads(file.read_bytes())
    (record,) = paired.values()
    record["scopes"] = record["approvedScopes"] = list(READ)
    record["tokens"]["operator"]["scopes"] = list(READ)
    file.write_text(json.dumps(paired))
    file.with_name("paired.json.bak").unlink()
    return dict(record)


@pytest.mark.parametrize("first", COMMANDS)
def test_a_machine_that_was_paired_for_reading_is_upgraded_silently_and_audited(
    tmp_path: Path, first: str
) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    before = paired_for_reading_only(state_dir)

    with running_gateway(state_dir) as gateway:
        done = gateway.openclaw(*COMMANDS[first])
        listed = gateway.openclaw("devices", "list", "--json")

    assert done.code == 0, done
    assert listed.code == 0, listed
    assert listed.json["source"] == "gateway"
    assert listed.json["pending"] == []
    (after,) = gateway.kept("paired.json").values()
    assert after["tokens"]["operator"]["token"] == before["tokens"]["operator"]["token"]
    assert "operator.admin" in after["approvedScopes"]
    upgrade = gateway.audit("device.approved")[-1]
    assert upgrade["deviceId"] == before["deviceId"]
    assert upgrade["by"]["kind"] == "local"
    assert "operator.admin" in upgrade["scopes"]
    assert upgrade["from"]["peer"] == "127.0.0.1"


def test_no_upgrade_is_silent_when_policy_says_manual(tmp_path: Path) -> None:
    state_dir = tmp_path / "home" / ".openclaw"
    before = paired_for_reading_only(state_dir)
    token = token_of(state_dir)
    config = {"gateway": {"auth": {"token": token}, "pairing": {"autoApproveLocal": False}}}
    state_dir.joinpath("openclaw.json").write_text(json.dumps(config))

    with running_gateway(state_dir) as gateway:
        status = gateway.openclaw("gateway", "call", "status")
        listed = gateway.openclaw("devices", "list", "--json")

    assert status.code == 0, status  # what was approved goes on
    assert listed.code == 0, listed
    assert listed.json["source"] == "files"
    (waiting,) = listed.json["pending"]
    assert waiting["deviceId"] == before["deviceId"]
    assert waiting["approvedScopes"] == list(READ)


def token_of(state_dir: Path) -> str:
    """Return the shared token of a gateway that is not running."""
    from stores.config.load import load_config
    from stores.paths import resolve_paths

    env = {"OPENCLAW_STATE_DIR": str(state_dir), "HOME": str(state_dir.parent)}
    token = load_config(resolve_paths(env), env).config.gateway.auth.token
    assert token is not None
    return token


PROBES = [
    pytest.param((), READ, id="local-read"),
    pytest.param((), ("operator.admin",), id="local-admin"),
    pytest.param(FROM_AFAR, READ, id="from-afar"),
]


@pytest.mark.parametrize(("headers", "scopes"), PROBES)
@pytest.mark.parametrize("protocols", [(3, 3), (4, 4), (3, 4)], ids=["3", "4", "3-4"])
def test_a_probe_leaves_no_record(
    gateway: Gateway, headers: tuple[tuple[str, str], ...], scopes, protocols
) -> None:
    paired, audit = gateway.kept("paired.json"), gateway.audit("device.approved")

    probed = knock(
        gateway.port,
        "health",
        key=new_key(),
        token=gateway.token,
        headers=headers,
        scopes=scopes,
        mode="probe",
        protocols=protocols,
    )

    assert probed.answers[0]["ok"] is True
    assert gateway.kept("pending.json") == {}
    assert gateway.kept("paired.json") == paired
    assert gateway.audit("device.approved") == audit
    assert gateway.audit("device.requested") == []


def test_a_probe_of_a_known_device_asks_for_no_upgrade(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
        device = stranger(gateway.token)
        request_id = knock(gateway.port, **device).request_id
        assert gateway.openclaw("devices", "approve", request_id).code == 0

        more = {"scopes": ("operator.admin",), "mode": "probe"}
        probed = knock(gateway.port, "status", "device.pair.list", **device | more)

    assert "pendingUpgrade" not in probed.auth
    assert [answer["ok"] for answer in probed.answers] == [True, False]
    assert gateway.kept("pending.json") == {}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory):
    """Run one gateway for the probes, which leave it as it was."""
    with running_gateway(tmp_path_factory.mktemp("home") / ".openclaw") as gateway:
        yield gateway
