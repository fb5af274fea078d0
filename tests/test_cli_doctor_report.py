"""`openclaw doctor` as a whole: what it prints, what it fixes, what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import main
from stores import codec
from stores.owner import kind_of_mount
from stores.port_owner import start_time_of
from stores.records import PairedDevice, PendingRequest
from tests.builders import a_device, a_request
from tests.config_runner import Ended

TOKEN = "0123456789abcdef0123456789abcdef0123456789abcdef"
GOOD = f'{{gateway: {{auth: {{token: "{TOKEN}"}}}}}} // mine\n'

Doctor = Callable[..., Ended]


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(folder))
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    put(folder / "openclaw.json", GOOD)
    return folder


@pytest.fixture
def doctor(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    def run(*words: str, name: str = "doctor") -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([*name.split(), *words])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def put(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def stored(state_dir: Path, *records: PairedDevice | PendingRequest) -> None:
    """Write a device store as a gateway leaves it, all but its trail."""
    for name, kind, key in (
        ("paired", PairedDevice, "deviceId"),
        ("pending", PendingRequest, "requestId"),
    ):
        items = [codec.dump(record) for record in records if isinstance(record, kind)]
        text = json.dumps({item[key]: item for item in items}, indent=2)
        put(state_dir / "devices" / f"{name}.json", text)


def note_of(state_dir: Path, **more: object) -> None:
    """Leave the note of a gateway that runs: this very process."""
    pid = os.getpid()
    note = {"pid": pid, "startTime": start_time_of(pid)} | more
    put(state_dir / "gateway.lock", json.dumps(note))


def ids(ended: Ended) -> set[str]:
    return {one["id"] for one in ended.json["findings"] if not one["fixed"]}


def one(ended: Ended, name: str) -> dict[str, object]:
    (found,) = [each for each in ended.json["findings"] if each["id"] == name]
    return dict(found)


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_size)
    return found


def test_a_gateway_that_is_set_up_well_has_no_findings(doctor: Doctor):
    ended = doctor("--json", "--lint")

    assert ended.code == 0
    assert ended.json["ok"] is True
    assert ended.json["findings"] == []


def test_nothing_is_changed_without_being_asked(doctor: Doctor, state_dir: Path):
    put(state_dir / "devices" / "pending.json", "{}", mode=0o644)
    before = snapshot(state_dir)

    doctor()
    doctor("--json", "--lint", "--yes")

    assert snapshot(state_dir) == before


def test_a_report_exits_with_1_only_when_asked_to(doctor: Doctor, state_dir: Path):
    (state_dir / "openclaw.json").chmod(0o644)

    assert doctor().code == 0
    assert doctor("--lint").code == 1


def test_a_remark_is_no_failure(doctor: Doctor, state_dir: Path):
    stored(state_dir, a_request(2, ts=now_ms()))

    ended = doctor("--json", "--lint")

    assert ids(ended) == {"pending-devices"}
    assert ended.code == 0


def test_each_finding_is_told_with_its_command(doctor: Doctor, state_dir: Path):
    (state_dir / "openclaw.json").chmod(0o644)

    ended = doctor()

    assert "warning: Other users may read files of the gateway (open-to-read)" in ended.out
    assert f"{state_dir}/openclaw.json has mode 0644" in ended.out
    assert "Run:   openclaw doctor --fix" in ended.out


def test_a_fix_closes_the_files_and_says_so(doctor: Doctor, state_dir: Path):
    state_dir.chmod(0o755)
    put(state_dir / "logs" / "gateway-2026-01-01.jsonl", "", mode=0o666)
    put(state_dir / "identity" / "device.json", "{}", mode=0o640)

    ended = doctor("--fix", "--json")

    assert {each["id"] for each in ended.json["findings"] if each["fixed"]} == {
        "open-to-read",
        "open-to-write",
    }
    assert ended.json["ok"] is True
    assert [path.stat().st_mode & 0o077 for path in (state_dir, *state_dir.rglob("*"))] == [0] * 6


def test_a_fix_follows_no_link(doctor: Doctor, state_dir: Path, tmp_path: Path):
    other = tmp_path / "other"
    put(other, "x", mode=0o644)
    (state_dir / "logs").mkdir(mode=0o700)
    (state_dir / "logs" / "peers.json").symlink_to(other)
    (state_dir / "openclaw.json").chmod(0o644)

    doctor("--fix")

    assert other.stat().st_mode & 0o777 == 0o644
    assert (state_dir / "openclaw.json").stat().st_mode & 0o777 == 0o600


def test_a_fix_leaves_the_files_of_other_programs_alone(doctor: Doctor, state_dir: Path):
    put(state_dir / "workspace" / "notes.md", "x", mode=0o644)
    (state_dir / "openclaw.json").chmod(0o644)

    doctor("--fix")

    assert (state_dir / "workspace" / "notes.md").stat().st_mode & 0o777 == 0o644


def test_a_damaged_store_is_put_right_from_its_copy(doctor: Doctor, state_dir: Path):
    stored(state_dir, a_device())
    paired = state_dir / "devices" / "paired.json"
    put(paired.with_name("paired.json.bak"), paired.read_text())
    put(paired, "[]")

    before, after = doctor("--json"), doctor("--fix", "--json")

    assert one(before, "store-damaged")["fixable"] is True
    assert one(after, "store-damaged")["fixed"] is True
    assert a_device().device_id in json.loads(paired.read_text())
    assert [each.read_text() for each in paired.parent.glob("paired.json.corrupt-*")] == ["[]"]


def test_a_damaged_store_without_a_copy_is_left_as_it_is(doctor: Doctor, state_dir: Path):
    put(state_dir / "devices" / "paired.json", "[]")

    ended = doctor("--fix", "--json")

    assert one(ended, "store-damaged")["fixable"] is False
    assert (state_dir / "devices" / "paired.json").read_text() == "[]"


def test_spent_requests_are_dropped(doctor: Doctor, state_dir: Path):
    stored(state_dir, a_request(2, ts=now_ms()), a_request(3, ts=1))

    before, after = doctor("--json"), doctor("--fix", "--json")

    assert ids(before) == {"spent-requests", "pending-devices"}
    assert ids(after) == {"pending-devices"}
    assert len(json.loads((state_dir / "devices" / "pending.json").read_text())) == 1


def test_what_killed_programs_left_is_removed(doctor: Doctor, state_dir: Path):
    old, new = (state_dir / "devices" / f".paired.json.12.0000000{n}.tmp" for n in (1, 2))
    put(old, "{}")
    put(new, "{}")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    put(state_dir / "gateway.lock", json.dumps({"pid": 2**22 - 1, "startTime": 1}))

    before, after = doctor("--json"), doctor("--fix", "--json")

    assert ids(before) == {"temporary-files", "stale-lock"}
    assert ids(after) == set()
    assert (old.exists(), new.exists()) == (False, True)
    assert (state_dir / "gateway.lock").read_text() == ""


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        pytest.param('{url: "wss://gateway.example"}', "mode-remote", id="as-it-is-meant"),
        pytest.param("{}", "config-start", id="without-an-address"),
    ],
)
def test_a_machine_that_uses_a_gateway_elsewhere_is_not_told_to_start_one(
    doctor: Doctor, state_dir: Path, remote: str, told: str
):
    text = f'{{gateway: {{mode: "remote", remote: {remote}, auth: {{token: "{TOKEN}"}}}}}}'
    put(state_dir / "openclaw.json", text)

    assert told in ids(doctor("--json"))
    assert (doctor("--lint").code == 0) is (told == "mode-remote")


def test_a_file_in_the_place_of_the_state_directory_is_told(doctor: Doctor, state_dir: Path):
    shutil.rmtree(state_dir)
    state_dir.write_text("")

    (found,) = doctor("--json").json["findings"]

    assert found["id"] == "state-dir-untrusted"
    assert found["command"] == f"mv {state_dir} {state_dir}.old"


def test_where_modes_have_no_effect_that_is_told_and_nothing_closed(
    doctor: Doctor, state_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    config = state_dir / "openclaw.json"
    config.chmod(0o666)
    before = ids(doctor("--json"))
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()

    # what the mounts of some containers are: here the one that the test runs on stands for it
    kind = kind_of_mount(os.path.realpath(state_dir), mounts)
    monkeypatch.setattr("stores.owner._WITHOUT_MODES", (kind,))
    told = doctor("--fix", "--json")

    assert before == {"open-to-write"}
    assert ids(told) == {"modes-without-effect"}
    (finding,) = told.json["findings"]
    assert finding["command"] == f"findmnt -T {state_dir}"
    assert config.stat().st_mode & 0o777 == 0o666


def test_locks_that_lock_nothing_are_told(
    doctor: Doctor, state_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    put(state_dir / "devices" / "store.lock", "")
    before = ids(doctor("--json"))

    # what the mounts of some containers do: say yes to everybody
    monkeypatch.setattr("fcntl.flock", lambda _handle, _how: None)

    assert before == set()
    assert ids(doctor("--json")) == {"locks-without-effect"}


def test_the_marker_of_a_gateway_that_is_gone_is_removed(doctor: Doctor, state_dir: Path):
    note = json.dumps({"pid": 2**22 - 1, "startTime": 1})
    put(state_dir / "gateway.lock", "")
    put(state_dir / "gateway.lock.held", note)

    doctor("--fix")

    assert not (state_dir / "gateway.lock.held").exists()


def test_the_note_of_a_gateway_that_runs_is_left(doctor: Doctor, state_dir: Path):
    note_of(state_dir)
    (state_dir / "openclaw.json").chmod(0o644)
    before = (state_dir / "gateway.lock").read_text()

    doctor("--fix")

    assert (state_dir / "gateway.lock").read_text() == before


@pytest.mark.parametrize(
    ("note", "wanted", "command"),
    [
        pytest.param(
            {"configDigest": "0" * 64}, "config-drift", "openclaw gateway reload", id="digest"
        ),
        pytest.param(
            {"configPath": "/etc/other.json"},
            "config-other-file",
            "export OPENCLAW_CONFIG_PATH=/etc/other.json",
            id="another-file",
        ),
        pytest.param(
            {"secretFingerprint": "00000000"},
            "secret-differs",
            "openclaw gateway restart",
            id="secret",
        ),
    ],
)
def test_a_running_gateway_that_is_not_what_the_file_says_is_told(
    doctor: Doctor, state_dir: Path, note: dict[str, object], wanted: str, command: str
):
    note_of(state_dir, **note)

    ended = doctor("--json")

    assert one(ended, wanted)["command"] == command


def test_an_invalid_file_is_told_with_its_line(doctor: Doctor, state_dir: Path):
    put(state_dir / "openclaw.json", "{gateway: {\n  prot: 1}}")

    found = one(doctor("--json"), "config-invalid")

    assert f"{state_dir}/openclaw.json:2: gateway.prot: unknown key" in str(found["saw"])
    assert found["severity"] == "error"


def test_two_configuration_files_are_told(doctor: Doctor, state_dir: Path):
    put(state_dir / "openclaw.toml", f'[gateway.auth]\ntoken = "{TOKEN}"\n')

    found = one(doctor("--json"), "config-ignored")

    json_file = state_dir / "openclaw.json"
    assert found["command"] == f"mv {json_file} {json_file}.unused"


def test_another_programs_directory_is_told(doctor: Doctor, state_dir: Path):
    put(state_dir / "state" / "openclaw.sqlite", "")

    assert one(doctor("--json"), "foreign-state")["severity"] == "error"


def test_a_check_that_cannot_be_made_hinders_no_other(doctor: Doctor, state_dir: Path):
    put(state_dir / "logs" / "peers.json", "[]")
    (state_dir / "openclaw.json").chmod(0o644)

    assert ids(doctor("--json")) == {"not-checked", "open-to-read"}


def test_a_directory_of_somebody_else_is_one_finding(
    doctor: Doctor, state_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    # root may look everywhere, so what the kernel says to others is said here
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    ended = doctor("--json")

    assert ids(ended) == {"state-dir-shut"}
    assert ended.json["about"] == f"{state_dir}: not looked at"


@pytest.mark.parametrize("words", [("--json",), ()], ids=["json", "prose"])
def test_no_secret_is_told(doctor: Doctor, state_dir: Path, words: tuple[str, ...]):
    put(state_dir / "openclaw.json", '{gateway: {auth: {token: "short-s3cret"}}}', mode=0o644)

    ended = doctor(*words)

    assert "weak-token" in ended.out
    assert "short-s3cret" not in ended.out + ended.err


def test_an_audit_is_about_who_gets_in_alone(doctor: Doctor, state_dir: Path):
    put(
        state_dir / "openclaw.json",
        '{gateway: {auth: {token: "short"}, trustedProxies: ["192.168.178.0/24"]}}',
    )
    stored(state_dir, a_request(2, ts=now_ms()))

    ended = doctor("--json", name="security audit")

    assert ids(ended) == {"weak-token", "client-network-in-trusted-proxies"}
    counts = {"error": 0, "warning": 2, "info": 0}
    assert ended.json["summary"] == counts | {"critical": 0, "warn": 2}
    assert ended.code == 0
    assert doctor("--lint", name="security audit").code == 1


def now_ms() -> int:
    return time.time_ns() // 1_000_000
