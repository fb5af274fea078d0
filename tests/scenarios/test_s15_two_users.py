"""Two users, two homes, one port: whoever comes second is told who has it, and how to part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.systemd_box import Box, User

pytestmark = [pytest.mark.slow, pytest.mark.real("systemd")]

PORT = 20_950


@pytest.fixture
def root(box: Box) -> Iterator[User]:
    """Return root, whose gateway runs as a service."""
    root = box.root
    root.set_port(PORT)
    done = root.openclaw("gateway", "install")
    assert done.code == 0, done.err
    yield root
    root.openclaw("gateway", "uninstall")


@pytest.mark.parametrize("verb", ["install", "start"])
def test_a_port_that_root_holds_is_told_by_uid_and_by_configuration(
    box: Box, root: User, verb: str
) -> None:
    user = box.new_user(linger=True)
    if verb == "start":
        assert user.openclaw("gateway", "install").code == 0
        assert user.openclaw("gateway", "stop").code == 0
    user.set_port(PORT)

    done = user.openclaw("gateway", verb, "--json")

    assert done.code == 1
    assert len(done.err.splitlines()) <= 6
    assert f"port {PORT} is held by user root (uid 0)" in done.err
    assert f"your configuration is {user.home}/.openclaw/openclaw.json" in done.err
    assert "that program uses another one" in done.err
    assert done.json["hintItems"][0]["kind"] == "port-of-another-user"
    assert root.answers(PORT)


def test_the_command_of_the_remedy_parts_them(box: Box, root: User) -> None:
    user = box.new_user(linger=True)
    user.set_port(PORT)
    refused = user.openclaw("gateway", "install", "--json")
    command = refused.json["error"]["remedy"]["command"]

    changed = user.openclaw(*command.split()[1:])
    done = user.openclaw("gateway", "install")

    assert changed.code == 0, changed.err
    assert done.code == 0, done.err
    assert user.port != PORT
    assert user.answers()
    assert root.answers(PORT)


def test_stopping_ones_own_never_touches_the_other_users(box: Box, root: User) -> None:
    user = box.new_user(linger=True)
    user.set_port(PORT)

    done = user.openclaw("gateway", "stop", "--json")

    assert done.code == 0
    assert done.json["result"] == "not-loaded"
    assert root.answers(PORT)
