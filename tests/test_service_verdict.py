"""What keeps the gateway from being a service: each trouble alone, with its one remedy."""

from __future__ import annotations

import pytest
from attrs import evolve

from cli.service.verdict import Holder, ServiceFacts, Trouble, judge

WELL = ServiceFacts(
    user="u1",
    uid=1001,
    home="/home/u1",
    home_owner="u1",
    unit_path="/home/u1/.config/systemd/user/openclaw-gateway.service",
    config_path="/home/u1/.openclaw/openclaw.json",
    active=True,
    main_pid=42,
    port=18789,
    port_free=18799,
    verb="start",
)
OURS = Holder(uid=1001, user="u1", pid=42, command="openclaw", unit="openclaw-gateway.service")
ROOTS = Holder(uid=0, user="root")
ROOT = {"user": "root", "uid": 0, "home": "/root", "home_owner": "root"}


@pytest.mark.parametrize(
    ("changes", "trouble", "command"),
    [
        pytest.param(
            {"systemd": False}, Trouble.NOT_SYSTEMD, "openclaw gateway run", id="not-systemd"
        ),
        pytest.param(
            {"systemd": False, "container": True},
            Trouble.NOT_SYSTEMD,
            "openclaw gateway run",
            id="container",
        ),
        pytest.param(
            {"user": "root", "uid": 0, "sudo_user": "u1"},
            Trouble.FOREIGN_HOME,
            "openclaw gateway start",
            id="sudo-kept-the-home",
        ),
        pytest.param(
            {"user": "root", "uid": 0},
            Trouble.FOREIGN_HOME,
            "sudo -iu u1 openclaw gateway start",
            id="su-kept-the-home",
        ),
        pytest.param(
            {"user": "root", "uid": 0, "sudo_user": "u2"},
            Trouble.FOREIGN_HOME,
            "sudo -iu u1 openclaw gateway start",
            id="sudo-into-a-third-home",
        ),
        pytest.param(
            {"system": True},
            Trouble.NEEDS_ROOT,
            "sudo openclaw gateway start --system",
            id="system-without-root",
        ),
        pytest.param(
            {"manager": False, "linger": False},
            Trouble.NO_USER_MANAGER,
            "sudo loginctl enable-linger u1",
            id="no-session",
        ),
        pytest.param(
            ROOT | {"manager": False, "linger": False},
            Trouble.NO_USER_MANAGER,
            "loginctl enable-linger root",
            id="root-without-session",
        ),
        pytest.param(
            {"manager": False},
            Trouble.NO_USER_MANAGER,
            "sudo systemctl restart user@1001.service",
            id="lingers-without-manager",
        ),
        pytest.param(
            {"manager": False, "linger": False, "bus_package": False},
            Trouble.NO_BUS_PACKAGE,
            "sudo apt-get install dbus-user-session",
            id="no-package",
        ),
        pytest.param(
            {"linger": False}, Trouble.NO_LINGER, "sudo loginctl enable-linger u1", id="no-linger"
        ),
        pytest.param(
            {"installed": False, "active": False},
            Trouble.UNIT_MISSING,
            "openclaw gateway install",
            id="no-unit",
        ),
        pytest.param(
            {"installed": False, "active": False, "profile": "work"},
            Trouble.UNIT_MISSING,
            "openclaw --profile work gateway install",
            id="no-unit-of-the-profile",
        ),
        pytest.param(
            {"masked": True, "installed": False},
            Trouble.UNIT_MASKED,
            "systemctl --user unmask openclaw-gateway.service",
            id="masked",
        ),
        pytest.param({"stale": True}, Trouble.UNIT_STALE, "openclaw gateway install", id="stale"),
        pytest.param(
            {"holder": ROOTS},
            Trouble.PORT_OF_USER,
            "openclaw config set gateway.port 18799",
            id="port-of-root",
        ),
        pytest.param(
            {"holder": ROOTS, "profile": "work"},
            Trouble.PORT_OF_USER,
            "openclaw --profile work config set gateway.port 18799",
            id="port-of-root-profile",
        ),
        pytest.param(
            {"holder": evolve(OURS, pid=7, unit="web.service", unit_of_user=True)},
            Trouble.PORT_OF_UNIT,
            "systemctl --user disable --now web.service",
            id="port-of-own-unit",
        ),
        pytest.param(
            {"holder": evolve(OURS, pid=7, unit="web.service")},
            Trouble.PORT_OF_UNIT,
            "sudo systemctl disable --now web.service",
            id="port-of-system-unit",
        ),
        pytest.param(
            ROOT | {"holder": evolve(OURS, uid=0, user="root", pid=7, unit="web.service")},
            Trouble.PORT_OF_UNIT,
            "systemctl disable --now web.service",
            id="port-of-system-unit-root",
        ),
        pytest.param(
            {"holder": evolve(OURS, pid=7, unit=None, is_gateway_here=True), "active": False},
            Trouble.PORT_OF_FOREGROUND,
            "openclaw gateway stop",
            id="foreground",
        ),
        pytest.param(
            {"holder": evolve(OURS, pid=7, unit=None)},
            Trouble.PORT_OF_PROGRAM,
            "openclaw config set gateway.port 18799",
            id="port-of-a-program",
        ),
    ],
)
def test_a_trouble_has_one_name_and_one_command(changes, trouble: Trouble, command: str):
    found = judge(evolve(WELL, **changes))

    assert [one.trouble for one in found] == [trouble]
    assert found[0].command == command
    assert f"`{command}`" in found[0].remedy


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="nobody-on-the-port"),
        pytest.param({"holder": OURS}, id="our-own-unit-on-the-port"),
        pytest.param({"port": None, "holder": ROOTS}, id="port-unknown"),
        pytest.param({"verb": "install", "installed": False, "active": False}, id="install"),
        pytest.param({"verb": "install", "stale": True}, id="install-anew"),
        pytest.param({"verb": "uninstall", "stale": True}, id="uninstall"),
        pytest.param(ROOT | {"sudo_user": "u1"}, id="root-with-its-own-home"),
        pytest.param(ROOT | {"system": True, "linger": False, "manager": False}, id="system"),
    ],
)
def test_nothing_is_wrong_where_nothing_is(changes):
    assert judge(evolve(WELL, **changes)) == ()


def test_what_blocks_comes_before_what_only_matters_later():
    found = judge(evolve(WELL, installed=False, linger=False, active=False))

    assert [one.trouble for one in found] == [Trouble.UNIT_MISSING, Trouble.NO_LINGER]
    assert [one.blocks for one in found] == [True, False]


def test_a_pid_that_is_the_units_counts_only_while_the_unit_runs():
    found = judge(evolve(WELL, active=False, holder=evolve(OURS, unit=None)))

    assert [one.trouble for one in found] == [Trouble.PORT_OF_PROGRAM]


def test_a_hidden_process_is_told_by_its_user_and_our_configuration():
    problem = judge(evolve(WELL, holder=ROOTS))[0].problem

    assert problem == (
        "port 18789 is held by user root (uid 0); your configuration is "
        "/home/u1/.openclaw/openclaw.json, that program uses another one"
    )
