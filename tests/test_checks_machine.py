"""The doctor's checks on real files: certificates, times from the future, notes, what cannot be read."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from stores.checks import configuration, devices, exposure, leftovers, machine, modes
from stores.checks.finding import Finding, Scene, Severity
from stores.config.load import load_config
from stores.credentials import resolve_gateway_auth
from stores.errors import ConfigError, UserFacingError
from stores.fingerprint import secret_fingerprint
from stores.identity import CachedToken, TokenCache, open_identity
from stores.paths import Paths
from stores.records import DeviceBook
from stores.refusal_ring import ring_file, write_refusals
from stores.running import Running, Standing
from tests.builders import a_device
from tests.pems import a_pair

TOKEN = "0123456789abcdef01234567"


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def scene(state_dir: Path, *, gateway: dict[str, Any] | None = None, **more: Any) -> Scene:
    file = state_dir / "openclaw.json"
    put(file, json.dumps({"gateway": {"auth": {"token": TOKEN}} | (gateway or {})}))
    state_dir.chmod(0o700)
    paths = Paths(state_dir, file)
    here = Scene(paths=paths, env={}, now_ms=time.time_ns() // 1_000_000, **more)
    loaded = load_config(paths, {})
    try:
        auth = resolve_gateway_auth(loaded, {})
    except UserFacingError as error:
        return Scene(
            paths=paths, env={}, now_ms=here.now_ms, loaded=loaded, auth_fault=error, **more
        )
    return Scene(paths=paths, env={}, now_ms=here.now_ms, loaded=loaded, auth=auth, **more)


def ids(found: Any) -> list[str]:
    told: list[Finding] = list(found)
    return [one.id for one in told]


def with_certificate(folder: Path, **more: Any) -> dict[str, Any]:
    a_pair(folder, "gateway", **more)
    tls = {"certPath": str(folder / "gateway.pem"), "keyPath": str(folder / "gateway.key")}
    return {"tls": {"enabled": True} | tls}


def test_a_certificate_that_holds_is_fine(tmp_path: Path):
    section = with_certificate(tmp_path)
    (tmp_path / "gateway.key").chmod(0o600)

    assert "certificate-unusable" not in ids(machine.check(scene(tmp_path, gateway=section)))


def test_a_key_that_all_can_read_is_told(tmp_path: Path):
    section = with_certificate(tmp_path)
    (tmp_path / "gateway.key").chmod(0o644)

    assert "certificate-key-open" in ids(machine.check(scene(tmp_path, gateway=section)))


def test_a_certificate_that_is_not_there_is_told(tmp_path: Path):
    section = with_certificate(tmp_path)
    (tmp_path / "gateway.pem").unlink()

    assert "certificate-unusable" in ids(machine.check(scene(tmp_path, gateway=section)))


def test_a_certificate_that_will_be_made_is_fine(tmp_path: Path):
    assert ids(machine.check(scene(tmp_path, gateway={"tls": {"enabled": True}}))) == []


def test_a_file_from_the_future_is_told(tmp_path: Path):
    here = scene(tmp_path)
    later = time.time() + 3600
    os.utime(put(tmp_path / "devices" / "paired.json", "{}"), (later, later))

    assert ids(machine.check(here)) == ["clock-behind"]


def test_refusals_that_cannot_be_read_are_no_clock(tmp_path: Path):
    here = scene(tmp_path)
    ring_file(here.paths.logs_dir).mkdir(parents=True)

    assert ids(machine.check(here)) == []


def test_the_clock_is_judged_by_the_refusals_on_file(tmp_path: Path):
    here = scene(tmp_path)
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    entry = {"connId": "c" * 8, "code": "DEVICE_AUTH_SIGNATURE_EXPIRED", "lastTs": at}
    write_refusals(ring_file(here.paths.logs_dir), [entry, entry | {"connId": "d", "lastTs": "?"}])

    assert ids(machine.check(here)) == ["clock-differs"]


def test_no_directory_has_nothing_wrong(tmp_path: Path):
    paths = Paths(tmp_path / "none", tmp_path / "none" / "openclaw.json")
    here = Scene(paths=paths, env={}, now_ms=1)

    for check in (modes, leftovers, configuration, exposure, devices, machine):
        assert ids(check.check(here)) == []
    devices.heal(here)
    assert not paths.state_dir.exists()


def test_every_folder_of_the_gateway_is_looked_at(tmp_path: Path):
    here = scene(tmp_path)
    names = ["devices/a", "identity/a", "config-history/a", "tls/a", "logs/a", "nodes/a"]
    for name in names:
        put(tmp_path / name, "", mode=0o644)

    found = {str(one.path.relative_to(tmp_path)) for one in modes.entries(here)}
    modes.close(here)

    assert set(names) <= found
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in names} == {0o600}


@pytest.mark.parametrize(
    ("gateway", "wanted"),
    [
        pytest.param({}, [], id="starts"),
        pytest.param({"auth": {"mode": "password"}}, ["config-start"], id="no-password"),
        pytest.param({"auth": {"tokenFile": "none"}}, ["config-start"], id="no-file"),
        pytest.param({"bind": "auto"}, ["config-warning"], id="warning"),
    ],
)
def test_a_configuration_that_does_not_start_is_told(
    tmp_path: Path, gateway: dict[str, Any], wanted: list[str]
):
    assert ids(configuration.check(scene(tmp_path, gateway=gateway))) == wanted


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [
        pytest.param({}, [], id="says-nothing"),
        pytest.param({"config_path": "here"}, [], id="same-file"),
        pytest.param({"secret_fingerprint": secret_fingerprint(TOKEN)}, [], id="same-secret"),
        pytest.param({"secret_fingerprint": "0" * 8}, ["secret-differs"], id="another-secret"),
        pytest.param({"config_digest": "0"}, ["config-drift"], id="another-text"),
        pytest.param({"config_digest": "0", "standing": Standing.ENDED}, [], id="gone"),
        pytest.param({"config_path": "/none.json"}, ["config-other-file"], id="another-file"),
    ],
)
def test_the_gateway_that_runs_is_compared(
    tmp_path: Path, noted: dict[str, Any], wanted: list[str]
):
    said: dict[str, Any] = {"standing": Standing.RUNS, "pid": os.getpid()} | noted
    if said.get("config_path") == "here":
        said["config_path"] = str(tmp_path / "openclaw.json")

    assert ids(configuration.check(scene(tmp_path, running=Running(**said)))) == wanted


@pytest.mark.parametrize(
    ("source", "command"),
    [
        pytest.param(
            "env OPENCLAW_GATEWAY_TOKEN",
            "openclaw config set gateway.auth.token --from-file FILE",
            id="variable",
        ),
        pytest.param(
            "--token-file /run/t",
            "openclaw config set gateway.auth.token --from-file FILE",
            id="option",
        ),
        pytest.param("gateway.auth.token in /f", "openclaw gateway restart", id="file"),
    ],
)
def test_another_secret_is_told_with_where_it_comes_from(tmp_path: Path, source: str, command: str):
    (found,) = configuration.check(scene(tmp_path, running=of_secret(source)))

    assert (found.id, found.command) == ("secret-differs", command)
    assert (source in found.saw) is (source != "gateway.auth.token in /f")


@pytest.mark.parametrize("paired", [True, False])
def test_a_secret_that_only_the_gateway_has_is_told(tmp_path: Path, *, paired: bool):
    here = scene(tmp_path, gateway={"auth": {}}, running=of_secret("env OPENCLAW_GATEWAY_TOKEN"))
    if paired:
        identity = open_identity(here.paths.identity_dir, now_ms=1)
        own = TokenCache(here.paths.identity_dir, identity.device_id)
        own.save(CachedToken("D3VICE", "operator"))

    (found,) = configuration.check(here)

    assert found.id == "secret-elsewhere"
    assert found.severity is (Severity.INFO if paired else Severity.WARNING)
    assert found.command == "openclaw config set gateway.auth.token --from-file FILE"
    assert "from env OPENCLAW_GATEWAY_TOKEN" in found.saw


@pytest.mark.parametrize("source", [None, "gateway.auth.token in /f"])
def test_no_secret_here_is_no_finding_where_the_file_of_the_gateway_has_it(
    tmp_path: Path, source: str | None
):
    here = scene(tmp_path, gateway={"auth": {}}, running=of_secret(source))

    assert list(configuration.check(here)) == []


def test_an_identity_that_cannot_be_read_lets_nobody_in(tmp_path: Path):
    here = scene(tmp_path, gateway={"auth": {}}, running=of_secret("--token"))
    here.paths.identity_dir.mkdir()
    (here.paths.identity_dir / "device.json").write_text("{}")

    (found,) = configuration.check(here)

    assert found.severity is Severity.WARNING


def test_a_file_that_lost_what_runs_is_an_error_and_nothing_else_differs(tmp_path: Path):
    lost = ConfigError("it is gone", remedy="go back with `openclaw config rollback good --yes`")
    running = evolve(of_secret("env X"), config_digest="0")

    (found,) = configuration.check(scene(tmp_path, running=running, lost=lost))

    assert (found.id, found.severity) == ("config-lost", Severity.ERROR)
    assert (found.saw, found.command) == ("it is gone", "openclaw config rollback good --yes")


def of_secret(source: str | None) -> Running:
    """A gateway that runs with a secret that nobody else has."""
    return Running(
        standing=Standing.RUNS,
        pid=os.getpid(),
        auth_mode="token",
        secret_fingerprint="0" * 8,
        secret_source=source,
    )


def test_a_secret_on_the_command_line_of_a_gateway_is_told_without_it(tmp_path: Path):
    words = [sys.executable, "-c", "input()", "--token=s3cret"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        running = Running(standing=Standing.RUNS, pid=process.pid)
        deadline = time.monotonic() + 5
        while b"s3cret" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            assert time.monotonic() < deadline
        (found,) = exposure.check(scene(tmp_path, running=running))
        process.communicate(b"\n")

    assert found.id == "secret-on-command-line"
    assert "s3cret" not in found.saw


def test_a_lock_that_a_gateway_holds_keeps_its_note(tmp_path: Path):
    here = scene(tmp_path)
    lock = put(tmp_path / "gateway.lock", json.dumps({"pid": 2**22 - 1, "startTime": 1}))
    before = lock.read_text()
    with lock.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        leftovers.remove(here)

    assert lock.read_text() == before


def test_a_lock_that_somebody_holds_works(tmp_path: Path):
    here = scene(tmp_path)
    lock = put(tmp_path / "devices" / "store.lock", "")
    with lock.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert ids(leftovers.check(here)) == []


def test_a_device_of_no_time_there_is_does_not_hinder(tmp_path: Path):
    far = a_device(1, display_name="a", last_seen_at_ms=10**18)
    twin = a_device(2, display_name="a", last_seen_at_ms=None, approved_at_ms=0, created_at_ms=0)
    book = DeviceBook(paired={one.device_id: one for one in (far, twin)})

    found = list(devices.judge(scene(tmp_path), book, held=book, ttl_ms=1))

    assert [one.id for one in found] == ["duplicate-devices"]
    assert "at no time there is" in found[0].saw
    assert "never seen" in found[0].saw


def test_a_gateway_stopped_by_a_signal_is_told_with_what_lets_it_go_on(tmp_path: Path):
    def found(standing: Standing) -> list[Finding]:
        here = scene(tmp_path, running=Running(pid=4321, standing=standing))
        return [one for one in machine.check(here) if one.id == "gateway-stopped"]

    assert [one.command for one in found(Standing.STOPPED)] == ["kill -CONT 4321"]
    assert found(Standing.RUNS) == []
