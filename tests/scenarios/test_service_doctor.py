"""The doctor beside a service: what is wrong with its unit and its user, and the command that helps."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.scenarios.systemd_box import Box

pytestmark = [pytest.mark.slow, pytest.mark.real("systemd")]


def commands_of(report: Any) -> dict[str, str]:
    """Return the command of each finding, by its id."""
    return {one["id"]: one["command"] for one in report["findings"]}


def test_a_changed_unit_is_found_and_its_command_helps(box: Box) -> None:
    user = box.new_user(linger=True)
    unit = f"{user.home}/.config/systemd/user/openclaw-gateway.service"
    user.openclaw("gateway", "install")
    fresh = commands_of(user.openclaw("doctor", "--json").json)
    box.ok("sed", "-i", "s/^RestartSec=.*/RestartSec=99/", unit)

    stale = user.openclaw("doctor", "--json", "--lint")
    named = commands_of(stale.json)["unit-stale"]
    name, *words = shlex.split(named)
    typed = user.openclaw(*words)

    assert "unit-stale" not in fresh
    assert (stale.code, stale.json["exitCode"]) == (1, 1)
    assert (name, typed.code) == ("openclaw", 0), (named, typed.err)
    assert "unit-stale" not in commands_of(user.openclaw("doctor", "--json").json)


def test_a_service_that_ends_with_its_session_is_found_until_its_user_lingers(box: Box) -> None:
    user = box.new_user()

    done = user.in_session("openclaw gateway install >/dev/null; openclaw doctor --json")
    box.ok("loginctl", "enable-linger", user.name)
    after = user.openclaw("doctor", "--json")

    found = commands_of(json.loads(done.out))
    assert found["no-linger"] == f"sudo loginctl enable-linger {user.name}"
    assert "no-linger" not in commands_of(after.json)


def test_a_service_that_failed_is_found_and_its_command_tells_why(box: Box) -> None:
    user = box.new_user(linger=True)
    user.openclaw("gateway", "install")
    user.openclaw("gateway", "stop")
    stopped = commands_of(user.openclaw("doctor", "--json").json)
    user.configure('{gateway: {bind: "lan", auth: {mode: "none"}}}')
    user.openclaw("gateway", "start")

    failed = commands_of(user.openclaw("doctor", "--json").json)
    name, *words = shlex.split(failed.get("service-failed", ""))
    typed = user.openclaw(*words)

    assert "service-failed" not in stopped
    assert (name, typed.code) == ("openclaw", 1)
    assert "auth.mode is none" in typed.err
