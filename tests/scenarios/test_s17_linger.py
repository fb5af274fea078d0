"""The service where there is no session, no linger, no manager, no bus: it works, or says the cure."""

from __future__ import annotations

import json

import pytest

from tests.scenarios.programs import Finished, eventually
from tests.scenarios.systemd_box import INSTALLED, PROGRAM, Box

pytestmark = [pytest.mark.slow, pytest.mark.real("systemd")]


def refused(done: Finished, *, cure: str) -> None:
    """Check that a command refused in a few lines, one of which holds the cure."""
    lines = done.err.splitlines()

    assert done.code == 1, (done.out, done.err)
    assert 1 <= len(lines) <= 6, lines
    assert f"`{cure}`" in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("verb", ["install", "start", "restart"])
def test_without_session_and_linger_the_one_command_is_named(box: Box, verb: str) -> None:
    user = box.new_user()
    box.ok("install", "-d", "-o", user.name, f"{user.home}/.config/systemd/user")
    if verb == "restart":  # a unit from better days
        box.write(f"{user.home}/.config/systemd/user/openclaw-gateway.service", "[Service]\n")

    done = user.openclaw("gateway", verb)

    refused(done, cure=f"sudo loginctl enable-linger {user.name}")


def test_a_user_who_lingers_needs_no_session_and_no_variable(box: Box) -> None:
    user = box.new_user(linger=True)

    installed = user.openclaw("gateway", "install")
    answered = user.answers()
    pids = [user.shown("MainPID")]
    again = user.openclaw("gateway", "restart")
    pids.append(user.shown("MainPID"))
    stopped = user.openclaw("gateway", "stop")
    silent = not user.answers()
    started = user.openclaw("gateway", "start")

    assert [one.code for one in (installed, again, stopped, started)] == [0, 0, 0, 0]
    assert "linger: yes" in installed.out
    assert answered
    assert silent
    assert user.answers()
    assert pids[0] != pids[1]


def test_the_runtime_directory_of_somebody_else_is_not_used(box: Box) -> None:
    other, user = box.new_user(linger=True), box.new_user(linger=True)

    done = user.openclaw("gateway", "install", env={"XDG_RUNTIME_DIR": f"/run/user/{other.uid}"})

    assert done.code == 0, done.err
    assert user.answers()


def test_a_home_where_nobody_looks_for_units_is_refused_with_the_way_there(box: Box) -> None:
    user = box.new_user(linger=True)
    box.ok("install", "-d", "-o", user.name, f"/srv/{user.name}")
    box.ok("cp", "-a", f"{user.home}/.openclaw", f"/srv/{user.name}/.openclaw")

    done = user.openclaw("gateway", "install", env={"HOME": f"/srv/{user.name}"})
    env = {"OPENCLAW_STATE_DIR": f"/srv/{user.name}/.openclaw"}
    then = user.openclaw("gateway", "install", env=env)

    words = f"OPENCLAW_STATE_DIR=/srv/{user.name}/.openclaw openclaw gateway install"
    refused(done, cure=f"HOME={user.home} {words}")
    assert then.code == 0, then.err
    assert user.answers()


def test_in_a_session_it_works_and_says_that_it_ends_with_it(box: Box) -> None:
    user = box.new_user()

    done = user.in_session("openclaw gateway install; openclaw gateway start --json")
    text, _, report = done.out.partition("{")
    told = json.loads("{" + report)
    gone_s = eventually(lambda: not user.answers())

    assert done.code == 0, done.err
    assert "runs: pid" in text
    cure = f"`sudo loginctl enable-linger {user.name}`"
    assert f"linger: no (the gateway stops at logout); let it stay with {cure}" in done.err
    assert told["unit"]["linger"] is False
    assert [one["kind"] for one in told["unit"]["findings"]] == ["no-linger"]
    assert gone_s < 10


def test_after_the_logout_that_ended_it_the_status_says_so_with_the_cure(box: Box) -> None:
    user = box.new_user()
    assert user.in_session("openclaw gateway install").code == 0
    eventually(lambda: not user.answers() and not user.has_manager)

    status = user.openclaw("gateway", "status", "--json")
    overview = user.openclaw("status")
    health = user.openclaw("health")

    process = status.json["verdicts"]["process"]
    cure = f"sudo loginctl enable-linger {user.name}"
    assert "the user does not linger" in process["saw"]
    assert process["remedy"]["command"] == cure
    assert f"`{cure}`" in overview.out
    assert "`openclaw gateway start`" in health.err  # and not a second one in the foreground


def test_with_linger_it_outlives_the_session_it_was_installed_in(box: Box) -> None:
    user = box.new_user()
    box.ok("loginctl", "enable-linger", user.name)

    done = user.in_session("openclaw gateway install")
    eventually(
        lambda: box.run("loginctl", "show-user", user.name, "-p", "Sessions").out == "Sessions=\n"
    )

    assert done.code == 0, done.err
    assert user.answers()


def test_root_lets_itself_linger_and_has_its_own(box: Box) -> None:
    root = box.root
    root.set_port(20_900)
    try:
        done = root.openclaw("gateway", "install", "--json", env={"SUDO_USER": "somebody"})

        assert done.code == 0, done.err
        assert "for one of somebody use `openclaw gateway install` without sudo" in str(
            done.json["warnings"]
        )
        assert done.json["unit"]["linger"] is True
        assert done.json["unit"]["path"] == "/root/.config/systemd/user/openclaw-gateway.service"
        assert root.answers()
    finally:
        root.openclaw("gateway", "uninstall")


@pytest.mark.parametrize(
    ("hide", "cure"),
    [
        pytest.param("/run/systemd", "openclaw gateway run", id="systemd-is-not-process-1"),
        pytest.param(
            "/usr/lib/systemd/user", "sudo apt-get install dbus-user-session", id="no-package"
        ),
    ],
)
def test_what_the_machine_lacks_is_named_with_what_to_do(box: Box, hide: str, cure: str) -> None:
    user = box.new_user()
    script = 'mount -t tmpfs none "$0" && exec setpriv --reuid="$1" --clear-groups "${@:2}"'
    words = ("bash", "-c", script, hide, str(user.uid), PROGRAM, "gateway", "install")

    done = box.run("unshare", "--mount", *words, env={"HOME": user.home})

    refused(done, cure=cure)


@pytest.mark.parametrize("verb", ["install", "uninstall", "start", "stop"])
@pytest.mark.parametrize("by_sudo", [True, False], ids=["sudo", "su"])
def test_root_in_the_home_of_another_user_touches_nothing(
    box: Box, verb: str, by_sudo: bool
) -> None:
    user = box.new_user()
    env = {"HOME": user.home} | ({"SUDO_USER": user.name} if by_sudo else {})

    done = box.run(PROGRAM, "gateway", verb, env=env)

    right = f"openclaw gateway {verb}"
    refused(done, cure=right if by_sudo else f"sudo -iu {user.name} {right}")
    assert box.ok("find", user.home, "-uid", "0") == ""


def test_installing_twice_changes_nothing_and_a_changed_unit_is_written_anew(box: Box) -> None:
    user = box.new_user(linger=True)
    unit = f"{user.home}/.config/systemd/user/openclaw-gateway.service"
    results = []
    for _ in range(2):
        done = user.openclaw("gateway", "install", "--json")
        results.append((done.json["result"], done.json["unit"]["mainPid"]))
    box.ok("sed", "-i", "s/^RestartSec=.*/RestartSec=99/", unit)

    stale = user.openclaw("gateway", "start")
    anew = user.openclaw("gateway", "install", "--json").json

    assert [result for result, _ in results] == ["installed", "already-installed"]
    assert results[0][1] == results[1][1]
    assert stale.code == 0
    assert "Write it anew with `openclaw gateway install`" in stale.err.replace(
        "; write", "; Write"
    )
    assert anew["result"] == "installed"
    assert anew["unit"]["mainPid"] != results[0][1]
    assert user.shown("RestartUSec") != "1min 39s"
    assert box.ok("stat", "-c", "%a %U", unit) == f"600 {user.name}"


def test_a_unit_that_somebody_else_wrote_is_kept_beside_ours(box: Box) -> None:
    user = box.new_user(linger=True)
    folder = f"{user.home}/.config/systemd/user"
    box.ok("install", "-d", "-o", user.name, folder)
    foreign = "[Service]\nEnvironment=OPENCLAW_GATEWAY_TOKEN=0ldS3cret\nExecStart=/bin/true\n"
    box.write(f"{folder}/openclaw-gateway.service", foreign)

    done = user.openclaw("gateway", "install")

    kept = f"{folder}/openclaw-gateway.service.bak"
    assert done.code == 0, done.err
    assert f"kept as {kept}" in done.out
    assert box.ok("cat", kept) == foreign.strip()
    assert box.ok("stat", "-c", "%a", kept) == "600"
    assert "0ldS3cret" not in done.out + done.err + box.ok(
        "cat", f"{folder}/openclaw-gateway.service"
    )


def test_uninstalling_ends_it_and_leaves_the_state(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0

    done = user.openclaw("gateway", "uninstall", "--json")
    again = user.openclaw("gateway", "uninstall", "--json")
    start = user.openclaw("gateway", "start", "--json")

    assert (done.json["result"], again.json["result"]) == ("uninstalled", "not-loaded")
    assert not user.answers()
    assert user.port
    assert box.ok("find", f"{user.home}/.config/systemd", "-name", "*gateway*") == ""
    assert start.code == 1
    assert start.json["result"] == "not-loaded"
    assert start.json["hintItems"] == [
        {"kind": "unit-missing", "text": "install it with `openclaw gateway install`"}
    ]


def test_a_profile_has_a_unit_and_a_port_of_its_own(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0
    at = ("--profile", "work")
    user.openclaw(*at, "config", "set", "gateway.port", str(user.port + 500))

    done = user.openclaw(*at, "gateway", "install", "--json")

    assert done.code == 0, done.err
    assert done.json["unit"]["name"] == "openclaw-gateway-work.service"
    assert user.answers()
    assert user.answers(user.port + 500)
    assert "OPENCLAW_PROFILE=work" in user.shown("Environment", "openclaw-gateway-work")
    assert INSTALLED in user.shown("ExecStart", "openclaw-gateway-work")
