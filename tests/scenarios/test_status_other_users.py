"""A status asked by one user about a port that another user's gateway holds, and about services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.systemd_box import Box, User

pytestmark = [pytest.mark.slow, pytest.mark.real("systemd")]

PORT = 20_970
STATUS = ("gateway", "status")


@pytest.fixture
def root(box: Box) -> Iterator[User]:
    """Return root, whose gateway runs as a service."""
    root = box.root
    root.set_port(PORT)
    done = root.openclaw("gateway", "install")
    assert done.code == 0, done.err
    yield root
    root.openclaw("gateway", "uninstall")


def test_a_port_that_root_holds_is_told_by_uid_and_by_configuration(box: Box, root: User) -> None:
    user = box.new_user()
    user.configure(f'{{gateway: {{port: {PORT}, auth: {{token: "of-the-user"}}}}}}')

    done = user.openclaw(*STATUS, "--json")
    said = user.openclaw(*STATUS)
    required = user.openclaw(*STATUS, "--require-rpc")
    overview = user.openclaw("status")

    process, authorisation = (done.json["verdicts"][one] for one in ("process", "authorisation"))
    assert (done.code, said.code, required.code, overview.code) == (0, 0, 1, 0)
    assert f"port {PORT} is held by a gateway of user root (uid 0)" in process["saw"]
    assert f"your configuration is {user.home}/.openclaw/openclaw.json" in process["saw"]
    assert "that program uses another one" in process["saw"]
    assert done.json["verdicts"]["handshake"]["ok"] is True
    assert "answered and refused" in authorisation["saw"]
    assert done.json["port"]["owner"]["uid"] == 0
    assert "unreachable" not in said.out
    assert "root (uid 0)" in overview.out


def test_root_finds_its_own_service_well(root: User) -> None:
    done = root.openclaw(*STATUS, "--json", "--require-rpc")
    said = root.openclaw(*STATUS)

    assert done.code == 0, done.out
    assert [one["ok"] for one in done.json["verdicts"].values()] == [True, True, True]
    assert done.json["service"]["active"] is True
    assert "Service: openclaw-gateway.service (enabled, active (running))" in said.out
    assert "Config (service): /root/.openclaw/openclaw.json" in said.out


def test_a_secret_goes_to_no_other_user_but_root(box: Box) -> None:
    holder, user = box.new_user(linger=True), box.new_user()
    holder.set_port(PORT + 1)
    assert holder.openclaw("gateway", "install").code == 0
    user.configure(f'{{gateway: {{port: {PORT + 1}, auth: {{token: "of-the-user"}}}}}}')

    done = user.openclaw(*STATUS, "--json", "--require-rpc")
    tried = holder.openclaw("gateway", "why", "--json")
    holder.openclaw("gateway", "uninstall")

    assert done.code == 1
    assert done.json["verdicts"]["handshake"]["ok"] is True
    assert "nothing was sent" in done.json["verdicts"]["authorisation"]["saw"]
    assert "AUTH_TOKEN_MISMATCH" not in tried.out


def test_no_linger_is_a_line_with_its_command(box: Box) -> None:
    user = box.new_user(linger=True)
    user.set_port(PORT + 2)
    assert user.openclaw("gateway", "install").code == 0
    box.ok("rm", "-f", f"/var/lib/systemd/linger/{user.name}")

    said = user.openclaw(*STATUS)
    overview = user.openclaw("status")
    user.openclaw("gateway", "uninstall")

    assert "Linger: no (the gateway stops at logout)" in said.out
    assert f"loginctl enable-linger {user.name}" in said.out
    assert f"loginctl enable-linger {user.name}" in overview.out


def test_a_token_left_in_an_old_unit_is_named_by_fingerprint_and_never_shown(box: Box) -> None:
    user = box.new_user(linger=True)
    user.set_port(PORT + 3)
    assert user.openclaw("gateway", "install").code == 0
    user.drop_in(
        "Environment=OPENCLAW_GATEWAY_TOKEN=left-behind OPENCLAW_CONFIG_PATH=/elsewhere.json"
    )

    done = user.openclaw(*STATUS, "--json")
    said = user.openclaw(*STATUS)
    user.openclaw("gateway", "uninstall")

    kinds = {one["kind"] for one in done.json["warnings"]}
    assert {"secret-in-unit", "secrets-differ", "config-of-service"} <= kinds
    assert "unit" in {one["place"] for one in done.json["secrets"]}
    assert "Config (service): /elsewhere.json" in said.out
    assert "left-behind" not in said.out + said.err + done.out + done.err


def test_a_state_directory_that_may_not_be_read_still_gives_verdicts(box: Box, root: User) -> None:
    user = box.new_user()
    env = {"OPENCLAW_STATE_DIR": "/root/.openclaw", "OPENCLAW_GATEWAY_PORT": str(PORT)}

    done = user.openclaw(*STATUS, "--json", env=env)
    said = user.openclaw(*STATUS, env=env)
    overview = user.openclaw("status", env=env)

    assert (done.code, said.code, overview.code) == (0, 0, 0), done.err
    assert "user root (uid 0)" in done.json["verdicts"]["process"]["saw"]
    assert done.json["verdicts"]["handshake"]["ok"] is True
    (unusable,) = (one for one in done.json["warnings"] if one["kind"] == "config-unusable")
    assert "Permission denied" in unusable["problem"]
    again = "sudo -u root OPENCLAW_STATE_DIR=/root/.openclaw openclaw gateway status"
    assert f"`{again}`" in unusable["remedy"]
    assert "Permission denied" in overview.out
    assert "openclaw.json (cannot be used)" in said.out
    assert "another one" not in done.json["verdicts"]["process"]["saw"]
