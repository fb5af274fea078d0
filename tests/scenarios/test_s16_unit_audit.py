"""The unit that is installed: what systemd itself says of it, in awkward homes and on whole machines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.systemd_box import INSTALLED, PROGRAM, Box

pytestmark = [pytest.mark.slow, pytest.mark.real("systemd")]


@pytest.mark.parametrize(
    "home",
    [
        pytest.param("/home/plain", id="plain"),
        pytest.param("/home/u 50% off", id="space-and-percent"),
        pytest.param("/home/%h $HOME ${PATH};", id="what-systemd-expands"),
    ],
)
def test_systemd_finds_no_fault_with_a_unit_in_any_home(box: Box, home: str) -> None:
    user = box.new_user(home=home, linger=True)
    program = f"{home}/bin %n/openclaw"
    box.ok("install", "-d", "-o", user.name, f"{home}/bin %n")
    box.ok("cp", PROGRAM, program)

    done = user.run(program, "gateway", "install", "--json")
    unit = f"{home}/.config/systemd/user/openclaw-gateway.service"
    env = {"XDG_RUNTIME_DIR": f"/run/user/{user.uid}"}
    verified = user.run("systemd-analyze", "--user", "verify", unit, env=env)

    assert done.code == 0, done.err
    assert user.answers()
    assert (verified.code, verified.out, verified.err) == (0, "", "")
    assert done.json["unit"]["stale"] is False
    assert done.json["unit"]["findings"] == []
    assert program in box.ok("cat", f"/proc/{user.shown('MainPID')}/cmdline")


def test_a_state_directory_elsewhere_is_the_one_the_service_uses(box: Box) -> None:
    user = box.new_user(linger=True)
    there = f'{user.home}/my "state" $HOME %i \\x20'
    box.ok("cp", "-a", f"{user.home}/.openclaw", there)
    env = {"OPENCLAW_STATE_DIR": there, "OPENCLAW_GATEWAY_TOKEN": "Sh3llS3cret"}

    done = user.openclaw("gateway", "install", env=env)

    unit = box.ok("cat", f"{user.home}/.config/systemd/user/openclaw-gateway.service")
    assert done.code == 0, done.err
    assert user.answers()
    assert box.run("test", "-e", f"{there}/gateway.lock").code == 0
    assert box.run("test", "-e", f"{user.home}/.openclaw/gateway.lock").code == 1
    assert "OPENCLAW_GATEWAY_TOKEN of this shell is not taken into the service" in done.err
    assert "token" not in unit.lower()
    assert "Sh3llS3cret" not in done.out + done.err


def test_printing_the_unit_changes_nothing_and_needs_no_manager(box: Box) -> None:
    user = box.new_user()

    done = user.openclaw("gateway", "install", "--print")

    assert done.code == 0, done.err
    assert f'ExecStart="{PROGRAM}" gateway run --last-known-good' in done.out
    assert "token" not in done.out.lower()
    assert str(user.port) not in done.out
    assert box.run("test", "-e", f"{user.home}/.config").code == 1


@pytest.fixture
def account(box: Box) -> Iterator[str]:
    """Return the account of a service of the whole machine; the service is gone afterwards."""
    if box.run("getent", "passwd", "openclaw").code != 0:
        box.ok("useradd", "--system", "--user-group", "openclaw")
    yield "openclaw"
    box.run(PROGRAM, "gateway", "uninstall", "--system")
    box.ok("rm", "-rf", "/var/lib/openclaw-gateway")


def test_the_service_of_the_machine_is_hardened_and_works(box: Box, account: str) -> None:
    done = box.run(PROGRAM, "gateway", "install", "--system", "--json")
    unit = "/etc/systemd/system/openclaw-gateway.service"
    verified = box.run("systemd-analyze", "verify", unit)
    exposure = box.ok("systemd-analyze", "security", "--no-pager", "openclaw-gateway").splitlines()[
        -1
    ]
    listed = box.run(
        PROGRAM, "devices", "list", env={"OPENCLAW_STATE_DIR": "/var/lib/openclaw-gateway"}
    )
    pid = box.ok("systemctl", "show", "-P", "MainPID", "openclaw-gateway")

    assert done.code == 0, done.err
    assert done.json["unit"]["scope"] == "system"
    assert (verified.code, verified.err) == (0, "")
    assert float(exposure.split(": ")[1].split()[0]) < 2.0
    assert listed.code == 0, listed.err
    assert box.ok("stat", "-c", "%U", f"/proc/{pid}") == account
    assert box.ok("stat", "-c", "%U %a", "/var/lib/openclaw-gateway") == f"{account} 700"
    assert box.ok("stat", "-c", "%U %a", unit) == "root 644"


def test_root_is_shown_the_service_of_the_machine_and_the_way_to_it(box: Box, account: str) -> None:
    assert box.run(PROGRAM, "gateway", "install", "--system").code == 0

    status = box.run(PROGRAM, "gateway", "status", "--system", "--json", "--require-rpc")
    elsewhere = {"OPENCLAW_STATE_DIR": "/root/of-my-own"}
    own = box.run(PROGRAM, "gateway", "status", "--json", env=elsewhere)
    box.ok("systemctl", "stop", "openclaw-gateway")
    down = box.run(PROGRAM, "gateway", "status", "--system", "--json")

    assert status.code == 0, status.err
    assert [one["ok"] for one in status.json["verdicts"].values()] == [True, True, True]
    assert status.json["warnings"] == []
    process = own.json["verdicts"]["process"]
    assert "user openclaw (uid " in process["saw"]
    command = process["remedy"]["command"]
    assert command.startswith("OPENCLAW_STATE_DIR=/")  # the box is another mount namespace's
    assert command.endswith("/var/lib/openclaw-gateway openclaw gateway status")
    started = down.json["verdicts"]["process"]["remedy"]["command"]
    assert started == "openclaw gateway start --system"


@pytest.mark.parametrize("verb", ["start", "restart", "stop", "uninstall"])
def test_the_service_of_the_machine_obeys_root_alone(box: Box, account: str, verb: str) -> None:
    user = box.new_user()
    assert box.run(PROGRAM, "gateway", "install", "--system").code == 0

    refused = user.openclaw("gateway", verb, "--system")
    done = box.run(PROGRAM, "gateway", verb, "--system")

    assert refused.code == 1
    assert f"Use `sudo openclaw gateway {verb} --system`" in refused.err
    assert done.code == 0, done.err
    assert account


@pytest.mark.parametrize("folder", ["/root", "/home/somebody", "/tmp"])
def test_a_program_that_the_hardened_service_cannot_see_is_refused(
    box: Box, account: str, folder: str
) -> None:
    box.ok("install", "-d", f"{folder}/bin")
    box.ok("cp", PROGRAM, f"{folder}/bin/openclaw")

    done = box.run(f"{folder}/bin/openclaw", "gateway", "install", "--system")

    assert done.code == 1
    assert f"{folder}/bin/openclaw is in a folder that the hardened service" in done.err
    assert box.run("test", "-e", "/etc/systemd/system/openclaw-gateway.service").code == 1
    assert account


def test_a_program_that_systemd_cannot_start_is_refused(box: Box) -> None:
    user = box.new_user(linger=True)
    folder = f'{user.home}/a "quoted" folder'
    box.ok("install", "-d", folder)
    box.ok("cp", PROGRAM, folder)

    done = user.run(f"{folder}/openclaw", "gateway", "install")

    assert done.code == 1
    assert "systemd starts no program whose path holds a quote" in done.err
    assert user.shown("LoadState") == "not-found"


def test_a_missing_account_is_named_with_the_command_that_makes_it(box: Box) -> None:
    done = box.run(PROGRAM, "gateway", "install", "--system", "--run-as", "nobody-here")

    assert done.code == 1
    assert "`useradd --system --user-group nobody-here`" in done.err


def test_a_masked_unit_is_told_and_left_alone(box: Box) -> None:
    user = box.new_user(linger=True)
    user.systemctl("mask", "openclaw-gateway")

    done = user.openclaw("gateway", "install")

    assert done.code == 1
    assert "`systemctl --user unmask openclaw-gateway.service`" in done.err
    assert user.shown("LoadState") == "masked"


def test_the_program_of_the_present_directory_is_never_installed(box: Box) -> None:
    user = box.new_user(linger=True)
    box.ok("cp", PROGRAM, f"{user.home}/openclaw")

    line = f"cd {user.home}; PATH=.:{INSTALLED}/none:/usr/bin:/bin; openclaw gateway install"
    done = user.run("sh", "-c", line)

    assert done.code == 1
    assert "a relative entry of PATH" in done.err
    assert not user.answers()
