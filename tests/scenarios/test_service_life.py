"""A service from start to end: a loop that hangs, a crash, a refusal, a reload."""

from __future__ import annotations

import json

import pytest

from tests.scenarios.programs import eventually
from tests.scenarios.systemd_box import Box

pytestmark = [pytest.mark.slow, pytest.mark.real("systemd")]


def test_the_loop_feeds_the_watchdog_and_one_that_hangs_is_replaced(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0
    user.drop_in("WatchdogSec=1\nRestartSec=100ms")
    assert user.openclaw("gateway", "restart").code == 0
    fed = user.shown("MainPID")
    eventually(lambda: float(user.shown("WatchdogTimestampMonotonic") or 0) > 0)
    started_us = int(user.shown("ExecMainStartTimestampMonotonic"))
    eventually(lambda: int(user.shown("WatchdogTimestampMonotonic")) - started_us > 1_500_000)
    still = user.shown("MainPID")

    box.ok("kill", "-STOP", still)
    eventually(lambda: user.shown("MainPID") not in ("0", still), within_s=15)
    eventually(user.answers)

    assert fed == still
    assert user.shown("NRestarts") == "1"
    assert "(most recent call first)" in box.ok("journalctl", "-o", "cat", f"_UID={user.uid}")


def test_what_is_killed_comes_back_and_what_is_stopped_does_not(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0
    user.drop_in("RestartSec=100ms")
    first = user.shown("MainPID")

    box.ok("kill", "-KILL", first)
    eventually(lambda: user.shown("MainPID") not in ("0", first) and user.answers())
    stopped = user.openclaw("gateway", "stop", "--json")

    assert stopped.json["result"] == "stopped"
    assert user.shown("ActiveState") == "inactive"
    assert not user.answers()


def test_exit_code_78_is_told_and_not_tried_again(box: Box) -> None:
    user = box.new_user(linger=True)
    user.configure("{gateway: {prot: 1}}")

    done = user.openclaw("gateway", "install", "--json")
    lines = done.err.splitlines()

    assert done.code == 1
    assert done.json["result"] == "restart-health-failed"
    assert "refused to start (exit code 78, not tried again)" in lines[0]
    assert "openclaw.json:1" in lines[0]
    assert "`openclaw config validate`" in lines[0]
    assert "`openclaw gateway start`" in lines[1]
    assert len(lines) <= 6
    assert (user.shown("ActiveState"), user.shown("NRestarts")) == ("failed", "0")


def test_an_address_that_is_not_there_is_told_and_tried_again(box: Box) -> None:
    user = box.new_user(linger=True)
    gateway = {"port": user.port, "bind": "custom", "customBindHost": "203.0.113.9"}
    user.configure(json.dumps({"gateway": gateway}))

    refused = user.openclaw("gateway", "install")
    waits = user.shown("SubState")
    box.ok("ip", "address", "add", "203.0.113.9/32", "dev", "lo")
    user.drop_in("RestartSec=100ms")
    done = user.openclaw("gateway", "start")

    assert refused.code == 1
    assert "ended with exit code 1; systemd goes on trying: cannot listen on" in refused.err
    assert waits == "auto-restart"
    assert done.code == 0, done.err


def test_a_service_that_speaks_tls_is_found_to_answer(box: Box) -> None:
    user = box.new_user(linger=True)
    secret = {"token": "S3cretOfTests"}
    tls = {"port": user.port, "auth": secret, "tls": {"enabled": True}}
    user.configure(json.dumps({"gateway": tls}))

    done = user.openclaw("gateway", "install")

    assert done.code == 0, done.err
    assert f"answers on port {user.port}" in done.out


def test_a_broken_file_does_not_keep_a_restart_from_the_last_good_one(box: Box) -> None:
    user = box.new_user(linger=True)
    port = user.port
    assert user.openclaw("gateway", "install").code == 0
    good = f"{user.home}/.openclaw/config-history/last-known-good.json"
    eventually(lambda: box.run("test", "-e", good).code == 0)
    user.configure("{nonsense")

    done = user.openclaw("gateway", "restart")

    assert done.code == 0, done.err
    assert "note: the gateway runs on an earlier configuration" in done.err
    assert user.answers(port)


def test_a_reload_by_systemd_is_done_and_shown(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0
    pid = user.shown("MainPID")
    other = {"port": user.port, "auth": {"token": "An0therS3cret"}}
    user.configure(json.dumps({"gateway": other}))

    user.systemctl("reload", "openclaw-gateway")
    log = f"{user.home}/.openclaw/logs"
    eventually(lambda: "config reloaded: gateway.auth.token" in box.ok("sh", "-c", f"cat {log}/*"))
    user.configure("{nonsense")
    eventually(lambda: "`openclaw config validate`" in user.shown("StatusText"))

    assert user.shown("MainPID") == pid
    assert user.shown("ActiveState") == "active"
    assert "S3cret" not in user.shown("StatusText")
