"""A gateway runs already: as the service, beside it, or something else is on its port."""

from __future__ import annotations

import time

import pytest

from tests.scenarios.programs import eventually
from tests.scenarios.systemd_box import INSTALLED, PROGRAM, Box, User

pytestmark = [pytest.mark.slow, pytest.mark.real("systemd")]


def start_aside(user: User, *words: str) -> None:
    """Run a program of a user's that no unit of ours looks after, until the box ends."""
    line = 'setsid "$@" >/dev/null 2>&1 </dev/null &'
    assert user.run("sh", "-c", line, "sh", *words).code == 0


def test_a_second_gateway_beside_the_service_names_the_first(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0
    pid = user.shown("MainPID")

    started = time.monotonic()
    done = user.openclaw("gateway", "run")
    took_s = time.monotonic() - started

    assert done.code == 78
    assert took_s < 2.0
    for fact in (f"pid {pid}", f"user {user.name}", f"port {user.port}", "since 20"):
        assert fact in done.err
    assert user.answers()


def test_the_gateway_of_a_service_is_not_ended_for_it_would_come_back(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0
    pid = user.shown("MainPID")

    done = user.openclaw("gateway", "run", "--force")

    assert done.code == 78
    assert f"(pid {pid}) is a service's" in done.err
    assert "`openclaw gateway restart`" in done.err
    assert user.shown("MainPID") == pid
    assert user.answers()


@pytest.mark.parametrize("verb", ["install", "start"])
def test_a_gateway_in_the_foreground_is_told_from_the_service(box: Box, verb: str) -> None:
    user = box.new_user(linger=True)
    if verb == "start":
        assert user.openclaw("gateway", "install").code == 0
        assert user.openclaw("gateway", "stop").code == 0
    start_aside(user, PROGRAM, "gateway", "run")
    eventually(user.answers)

    refused = user.openclaw("gateway", verb)
    stopped = user.openclaw("gateway", "stop")
    then = user.openclaw("gateway", verb)

    assert refused.code == 1
    assert "already runs, outside of the service" in refused.err
    assert "`openclaw gateway stop`" in refused.err
    assert stopped.code == 0, stopped.err
    assert "outside of the service" in stopped.out
    assert then.code == 0, then.err
    assert user.answers()


def test_another_program_on_the_port_is_named_as_such(box: Box) -> None:
    user = box.new_user(linger=True)
    server = ("-m", "http.server", str(user.port), "--bind", "127.0.0.1")
    start_aside(user, f"{INSTALLED}/interpreter", *server)
    eventually(lambda: user.run("sh", "-c", f"ss -ltn | grep -q :{user.port}").code == 0)

    done = user.openclaw("gateway", "install", "--json")
    alone = user.openclaw("gateway", "run")

    assert done.code == 1
    assert done.json["hintItems"][0]["kind"] == "port-of-another-program"
    assert f"port {user.port} is held by another program (pid " in done.err
    assert "http.server" in done.err
    assert f"`openclaw config set gateway.port {user.port + 10}`" in done.err
    assert user.shown("LoadState") == "not-found"
    assert alone.code == 1
    assert "http.server" in alone.err


def test_another_unit_on_the_port_is_named_with_what_ends_it(box: Box) -> None:
    user = box.new_user(linger=True)
    assert user.openclaw("gateway", "install").code == 0
    port = user.port
    at = ("--profile", "other")
    user.openclaw(*at, "config", "set", "gateway.port", str(port))

    done = user.openclaw(*at, "gateway", "install")

    assert done.code == 1
    assert f"port {port} is held by another unit, openclaw-gateway.service (pid" in done.err
    assert "`systemctl --user disable --now openclaw-gateway.service`" in done.err
    assert user.answers()


def test_a_restart_to_a_port_that_is_taken_leaves_the_gateway_where_it_is(box: Box) -> None:
    first, user = box.new_user(linger=True), box.new_user(linger=True)
    for one in (first, user):
        assert one.openclaw("gateway", "install").code == 0
    before, taken = user.port, first.port
    user.openclaw("config", "set", "gateway.port", str(taken))

    done = user.openclaw("gateway", "restart")

    assert done.code == 1
    assert f"not restarted: port {taken}" in done.err
    assert user.answers(before)
