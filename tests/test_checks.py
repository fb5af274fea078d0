"""What the doctor judges from facts alone: each rule finds what it is for, and not what is fine."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from stores.certificate import day_of
from stores.checks import devices as device_checks
from stores.checks import exposure, machine, modes
from stores.checks.exposure import weakness
from stores.checks.finding import Finding, Scene, Severity, command_in, named
from stores.checks.modes import Entry
from stores.config.load import interpret
from stores.credentials import SecretKind, resolve_gateway_auth
from stores.paths import Paths
from stores.records import DeviceNote
from stores.running import Running, Standing
from tests.builders import NOW_MS, a_book, a_device, a_request

TOKEN = "0123456789abcdef01234567"
DAY_MS = 86_400_000
TOP = Path("/state")


def scene(text: str = "{}", *, env: dict[str, str] | None = None, **more: Any) -> Scene:
    file = TOP / "openclaw.json"
    loaded = interpret(file, text, env or {})
    auth = resolve_gateway_auth(loaded, env or {})
    return Scene(
        paths=Paths(TOP, file), env=env or {}, now_ms=NOW_MS, loaded=loaded, auth=auth, **more
    )


def ids(found: Iterable[Finding]) -> list[str]:
    return [one.id for one in found]


def entry(name: str, mode: int, *, uid: int = 1000, **more: Any) -> Entry:
    return Entry(TOP / name, mode, uid, 1000, **more)


def top(mode: int = 0o700, uid: int = 1000) -> Entry:
    return entry("", mode, uid=uid, is_folder=True)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param([top(), entry("a", 0o600)], [], id="private"),
        pytest.param(
            [top(), entry("a", 0o640)],
            [("open-to-read", Severity.WARNING)],
            id="behind-a-shut-folder",
        ),
        pytest.param(
            [top(0o711), entry("a", 0o604)], [("open-to-read", Severity.ERROR)], id="reachable"
        ),
        pytest.param(
            [top(0o755), entry("logs", 0o700, is_folder=True)],
            [("open-to-read", Severity.WARNING)],
            id="names-only",
        ),
        pytest.param(
            [top(), entry("a", 0o620)], [("open-to-write", Severity.ERROR)], id="group-writes"
        ),
        pytest.param([top(0o702)], [("open-to-write", Severity.ERROR)], id="anybody-writes"),
        pytest.param(
            [top(), entry("a", 0o600, uid=7)],
            [("foreign-owner", Severity.ERROR)],
            id="another-user",
        ),
        pytest.param([top(0o770, uid=0), entry("a", 0o600, uid=0)], [], id="volume-of-a-group"),
        pytest.param(
            [top(0o777, uid=0), entry("a", 0o600, uid=0)],
            [("open-to-write", Severity.ERROR)],
            id="volume-of-everybody",
        ),
        pytest.param([top(), entry("a", 0o777, is_link=True)], [], id="link-has-no-mode"),
    ],
)
def test_who_else_may_use_the_files(found: list[Entry], wanted: list[tuple[str, Severity]]):
    told = [(one.id, one.severity) for one in modes.judge(found, fix="fix", euid=1000)]

    assert told == wanted


def test_files_of_somebody_else_are_not_fixed_by_us():
    (found,) = modes.judge([top(0o750)], fix="fix", euid=2000)

    assert found.fixable is False
    assert found.command == "sudo chmod 700 /state"


def test_each_file_is_closed_to_the_mode_it_should_have():
    assert (top().right, entry("a", 0o644).right) == (0o700, stat.S_IRUSR | stat.S_IWUSR)


@pytest.mark.parametrize(
    ("secret", "kind", "weak"),
    [
        pytest.param(TOKEN, SecretKind.TOKEN, False, id="24-characters"),
        pytest.param(TOKEN[1:], SecretKind.TOKEN, True, id="23-characters"),
        pytest.param("ab" * 24, SecretKind.TOKEN, True, id="two-different"),
        pytest.param("abcdefg" * 4, SecretKind.TOKEN, True, id="seven-different"),
        pytest.param("correct horse", SecretKind.PASSWORD, False, id="password"),
        pytest.param("hunter2", SecretKind.PASSWORD, True, id="short-password"),
    ],
)
def test_a_secret_that_can_be_guessed_is_weak(secret: str, kind: SecretKind, weak: bool):
    why = weakness(secret, kind)

    assert (why is not None) is weak
    assert secret not in (why or "")


AUTH = f'auth: {{token: "{TOKEN}"}}'


@pytest.mark.parametrize(
    ("gateway", "wanted"),
    [
        pytest.param(AUTH, [], id="fine"),
        pytest.param('auth: {token: "short"}', ["weak-token"], id="weak-token"),
        pytest.param('auth: {password: "short"}', ["weak-password"], id="weak-password"),
        pytest.param('auth: {mode: "none"}', ["no-auth"], id="no-auth"),
        pytest.param(f'{AUTH}, bind: "lan"', ["plain-on-network"], id="plain-on-the-network"),
        pytest.param(f'{AUTH}, bind: "lan", tls: {{enabled: true}}', [], id="encrypted"),
        pytest.param(f'{AUTH}, bind: "tailnet"', [], id="tailnet-encrypts"),
        pytest.param(
            f'{AUTH}, bind: "custom", customBindHost: "127.0.0.2"', [], id="custom-loopback"
        ),
        pytest.param(
            f"{AUTH}, controlUi: {{allowPlainHttp: true}}", ["plain-http-page"], id="plain-page"
        ),
        pytest.param(
            f'auth: {{token: "{TOKEN}", rateLimit: {{maxAttempts: 1000, lockoutMs: 1}}}}',
            ["loose-rate-limit"] * 2,
            id="no-limit-to-speak-of",
        ),
        pytest.param(
            'auth: {mode: "trusted-proxy", trustedProxy: {userHeader: "x-user", allowLoopback: true}}',
            ["loopback-proxy-believed"],
            id="local-proxy",
        ),
        pytest.param(
            f"{AUTH}, pairing: {{autoApprove: [{{name: 'a', from: '10.0.0.0/8', "
            "roles: ['operator'], scopes: ['operator.admin']}]}",
            ["auto-approve-admin", "auto-approve-wide"],
            id="rule-for-too-many",
        ),
        pytest.param(
            f"{AUTH}, pairing: {{autoApprove: [{{name: 'a', from: '10.1.0.0/16', "
            "roles: ['operator'], scopes: ['operator.read']}]}",
            [],
            id="rule-for-few",
        ),
        pytest.param(
            f"{AUTH}, pairing: {{autoApprove: [{{name: 'a', from: 'published-port', "
            "roles: ['operator'], scopes: ['operator.read']}]}",
            ["published-port"],
            id="published-port",
        ),
    ],
)
def test_who_may_get_in(gateway: str, wanted: list[str]):
    found = list(exposure.check(scene(f"{{gateway: {{{gateway}}}}}")))

    assert ids(found) == wanted
    assert all(one.security and one.command for one in found)


def test_a_variable_that_does_not_count_is_told():
    env = {"OPENCLAW_GATEWAY_TOKEN": "another-one-of-somebody"}
    (found,) = exposure.check(scene(f"{{gateway: {{{AUTH}}}}}", env=env))

    assert (found.id, found.command) == ("environment-loses", "unset OPENCLAW_GATEWAY_TOKEN")
    assert "another-one" not in found.saw


def test_a_gateway_that_is_gone_has_no_command_line():
    running = Running(standing=Standing.ENDED, pid=1)

    assert ids(exposure.check(scene(f"{{gateway: {{{AUTH}}}}}", running=running))) == []


def test_the_widest_network_that_is_fine_is_one():
    assert ip_network("10.1.0.0/16").num_addresses == exposure.WIDEST_NETWORK


def refusal(conn: str, *, code: str = "DEVICE_AUTH_SIGNATURE_EXPIRED", day: str) -> dict[str, Any]:
    return {"connId": conn, "code": code, "lastTs": f"{day}T12:00:00.000Z", "deviceId": conn}


TODAY, BEFORE = day_of(NOW_MS), day_of(NOW_MS - 3 * DAY_MS)


@pytest.mark.parametrize(
    ("refusals", "title"),
    [
        pytest.param([], None, id="none"),
        pytest.param([refusal("a", day=BEFORE)], None, id="long-ago"),
        pytest.param([refusal("a", day=TODAY, code="PAIRING_REQUIRED")], None, id="another-reason"),
        pytest.param(
            [refusal("a", day=TODAY)],
            "The clock of a device, or of this machine, is wrong",
            id="one-device",
        ),
        pytest.param(
            [refusal("a", day=TODAY), refusal("b", day=TODAY)],
            "The clock of this machine is wrong",
            id="several-devices",
        ),
    ],
)
def test_refused_proofs_tell_whose_clock_is_wrong(
    refusals: list[dict[str, Any]], title: str | None
):
    found = list(machine.refused_for_time(refusals, now_ms=NOW_MS))

    assert [one.title for one in found] == ([title] if title else [])


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        pytest.param({}, [], id="fine"),
        pytest.param({"free_inodes": None}, [], id="no-inodes-to-count"),
        pytest.param({"free_bytes": 200 << 20}, [("disk-full", Severity.WARNING)], id="little"),
        pytest.param({"free_bytes": 1 << 20}, [("disk-full", Severity.ERROR)], id="nothing"),
        pytest.param({"free_inodes": 3}, [("disk-full", Severity.ERROR)], id="no-inodes"),
        pytest.param({"read_only": True}, [("disk-read-only", Severity.ERROR)], id="read-only"),
    ],
)
def test_a_disk_on_which_nothing_fits_is_told(
    facts: dict[str, Any], wanted: list[tuple[str, Severity]]
):
    usual: dict[str, Any] = {"free_bytes": 1 << 30, "free_inodes": 10_000, "read_only": False}

    found = machine.judge_disk("/state", **(usual | facts))

    assert [(one.id, one.severity) for one in found] == wanted


@pytest.mark.parametrize(
    ("days", "severity"),
    [
        pytest.param(31, None, id="far"),
        pytest.param(29, Severity.WARNING, id="near"),
        pytest.param(-1, Severity.ERROR, id="ended"),
    ],
)
def test_a_certificate_near_its_end_is_told(days: int, severity: Severity | None):
    end_ms = NOW_MS + days * DAY_MS

    found = list(machine.judge_end(scene(), "/tls/cert.pem", end_ms, own=False))

    assert [one.severity for one in found] == ([severity] if severity else [])


def judged(*records: Any, notes: dict[str, DeviceNote] | None = None) -> dict[str, Finding]:
    book = a_book(*records, notes=notes)
    found = device_checks.judge(scene(), book, held=book, ttl_ms=300_000)
    return {one.id: one for one in found}


def test_a_device_that_was_here_lately_is_fine():
    assert judged(a_device(1, last_seen_at_ms=NOW_MS - 89 * DAY_MS, approved_at_ms=1)) == {}


def test_a_device_that_was_not_here_for_long_is_told():
    found = judged(
        a_device(1, created_at_ms=1, approved_at_ms=1, last_seen_at_ms=NOW_MS - 91 * DAY_MS)
    )

    assert found["stale-devices"].command == "openclaw devices prune --older-than 90d"


def test_devices_of_one_name_are_told_the_oldest_first():
    young = a_device(1, display_name="tablet", last_seen_at_ms=NOW_MS)
    old = a_device(2, display_name="tablet", last_seen_at_ms=NOW_MS - DAY_MS)

    found = judged(young, old)["duplicate-devices"]

    assert found.command == f"openclaw devices show {old.device_id[:12]}"


def test_a_label_tells_devices_of_one_name_apart():
    one, two = (a_device(seed, display_name="tablet") for seed in (1, 2))

    assert judged(one, two, notes={one.device_id: DeviceNote(label="kitchen")}) == {}


def test_devices_without_a_name_are_no_duplicates():
    assert judged(a_device(1), a_device(2)) == {}


def test_an_upgrade_that_waits_names_the_command_that_grants_it():
    device = a_device(1)
    item = a_request(1, scopes=("operator.admin",), is_repair=True, request_id="ABCD-EFGH")

    found = judged(device, item)

    assert found["pending-upgrade"].command == "openclaw devices approve ABCD-EFGH"
    assert "pending-devices" not in found


def test_what_expired_waits_no_more():
    found = judged(a_request(1, ts=NOW_MS - 300_000))

    assert set(found) == {"spent-requests"}


@pytest.mark.parametrize(
    ("remedy", "command"),
    [
        pytest.param("close it with `chmod 600 x`", "chmod 600 x", id="any-command"),
        pytest.param("set `a.b c` by `openclaw health`", "openclaw health", id="ours-first"),
        pytest.param(
            "as `sudo -u u openclaw health`", "sudo -u u openclaw health", id="as-another"
        ),
        pytest.param("see `gateway.port`", "otherwise", id="a-key-is-none"),
        pytest.param(None, "otherwise", id="no-remedy"),
    ],
)
def test_the_command_of_a_remedy_is_found(remedy: str | None, command: str):
    assert command_in(remedy, "otherwise") == command


def test_of_many_paths_a_few_are_named():
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
