"""`openclaw devices invite`, `dashboard` and `qr`: what they print, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stores.setup_code import decode
from tests.machine import Machine, Ran


@pytest.fixture
def machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Machine:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")
    machine = Machine(tmp_path / "state", capsys)
    configure(machine)
    return machine


def configure(machine: Machine, **keys: Any) -> None:
    """Write a configuration; no gateway runs, so commands work on the files."""
    machine.configure(18999, **keys)
    machine.state_dir.chmod(0o700)


def invited(machine: Machine, *words: str) -> dict[str, Any]:
    ran = machine.run("devices", "invite", "--offline", *words, "--json")
    assert ran.code == 0, ran.err
    told: dict[str, Any] = ran.json
    return told


def test_an_invitation_says_what_it_gives_and_what_it_reaches(machine: Machine):
    ran = machine.run("devices", "invite", "--offline")

    assert ran.code == 0
    assert ": one node, once, for 10 min" in ran.out
    assert "█" in ran.out
    assert "Gateway:    ws://127.0.0.1:18999\n" in ran.out
    assert "Link:" not in ran.out
    assert "`ssh -N -L 18999:127.0.0.1:18999 USER@THIS-MACHINE`" in ran.err
    assert "openclaw devices invite --revoke" in ran.err


def test_its_json_has_the_documented_keys(machine: Machine):
    told = invited(machine, "--public-url", "https://gw.example.com", "--uses", "3")

    opened = decode(told["setupCode"])
    assert {"url", "setupCode", "role", "scopes", "uses", "expiresAtMs"} <= set(told)
    assert (told["role"], told["scopes"], told["uses"]) == ("node", [], 3)
    assert (opened.url, opened.expires_at_ms) == ("wss://gw.example.com", told["expiresAtMs"])
    assert told["source"] == "files"


def test_an_operators_link_carries_the_secret_in_its_fragment(machine: Machine):
    configure(machine, publicOrigin="https://gw.example.com", controlUi={"basePath": "/ui"})

    told = invited(machine, "--role", "operator")

    token = decode(told["setupCode"]).token
    assert told["url"] == f"https://gw.example.com/ui/#bootstrapToken={token}"
    assert told["scopes"] == ["operator.read", "operator.write"]


def test_admin_is_given_only_by_name(machine: Machine):
    told = invited(machine, "--role", "operator", "--scopes", "admin,operator.read")

    assert told["scopes"] == ["operator.admin", "operator.read"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        pytest.param(("--role", "operator", "--uses", "2"), 2, "--uses", id="operators"),
        pytest.param(("--scopes", "operator.read"), 2, "no scopes", id="a-nodes-scopes"),
        pytest.param(("--role", "operator", "--scopes", "a,,b"), 2, "no scope", id="no-scope"),
        pytest.param(("--expires", "soon"), 2, "no span of time", id="no-time"),
        pytest.param(("--role", "operator", "--expires", "25h"), 1, "24 h", id="too-long"),
        pytest.param(("--uses", "0"), 1, "1 to 100 times", id="never"),
        pytest.param(("--public-url", "gw"), 2, "wss://HOST", id="no-address"),
        pytest.param(("--list", "--revoke", "x"), 2, "two things", id="two-things"),
        pytest.param(("--revoke", "deadbeef"), 1, "no invitation answers", id="unknown"),
        pytest.param(("--role", "admin"), 2, "--role", id="no-role"),
    ],
)
def test_what_cannot_be_invited(machine: Machine, words, code, says):
    ran = machine.run("devices", "invite", "--offline", *words)

    assert ran.code == code
    assert says in ran.err
    assert machine.store.read().invitations == {}


def test_outstanding_invitations_are_listed_without_secrets_and_ended(machine: Machine):
    told = invited(machine)
    secret, short = decode(told["setupCode"]).token, told["setupId"]

    listed = machine.run("devices", "invite", "--offline", "--list")
    as_json = machine.run("devices", "invite", "--offline", "--list", "--json")
    ended = machine.run("devices", "invite", "--offline", "--revoke", short)
    left = machine.run("devices", "invite", "--offline", "--list")

    assert short in listed.out
    assert as_json.json["invitations"][0]["usesLeft"] == 1
    assert secret not in listed.out + as_json.out
    assert f"Revoked {short}" in ended.out
    assert left.out == "No invitation is outstanding.\n"


def dashboard(machine: Machine, *words: str) -> Ran:
    return machine.run("dashboard", "--offline", *words)


def test_the_dashboard_link_is_for_a_browser_of_this_machine(machine: Machine):
    told = dashboard(machine, "--json").json

    page, _, token = told["url"].partition("#bootstrapToken=")
    [kept] = machine.store.read().invitations.values()
    assert page == told["httpUrl"] == "http://127.0.0.1:18999/"
    assert (told["port"], told["tokenIncluded"]) == (18999, False)
    assert told["expiresAtMs"] == kept.expires_at_ms == kept.created_at_ms + 600_000
    assert "operator.admin" in kept.scopes
    assert token


def test_the_dashboard_link_is_all_that_is_printed(machine: Machine):
    ran = dashboard(machine, "--no-open")

    assert ran.out.startswith("http://127.0.0.1:18999/#bootstrapToken=")
    assert ran.out.count("\n") == 1
    assert "bootstrapToken" not in ran.err


def test_the_dashboard_says_how_to_take_the_link_back(machine: Machine):
    ran = dashboard(machine, "--no-open")

    revoke = ran.err.partition("`openclaw devices invite --revoke ")[2].partition("`")[0]
    assert machine.run("devices", "invite", "--offline", "--revoke", revoke).code == 0
    assert machine.run("devices", "invite", "--offline", "--list").out.startswith("No invitation")


def test_no_browser_is_opened_but_from_a_terminal(machine: Machine, monkeypatch):
    opened = list[str]()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", opened.append)

    assert dashboard(machine).code == 0
    assert opened == []


def test_a_dashboard_that_is_turned_off_is_told(machine: Machine):
    configure(machine, controlUi={"enabled": False})

    ran = dashboard(machine)

    assert ran.code == 1
    assert "openclaw config set gateway.controlUi.enabled true" in ran.err


def test_a_phone_that_could_not_reach_the_gateway_gets_no_code(machine: Machine):
    ran = machine.run("qr", "--offline")

    assert ran.code == 1
    assert ran.err.startswith("Gateway is only bound to loopback")
    assert "openclaw config set gateway.bind lan" in ran.err
    assert machine.store.read().invitations == {}


def test_the_address_that_other_machines_use_goes_into_the_code(machine: Machine):
    without = machine.run("qr", "--offline", "--remote")
    configure(machine, remote={"url": "wss://gw.example.com:8443/claw"})
    with_it = machine.run("qr", "--offline", "--remote", "--json")
    both = machine.run("qr", "--offline", "--remote", "--public-url", "wss://gw.example.org")

    assert (without.code, both.code) == (2, 2)
    assert "openclaw config set gateway.remote.url wss://HOST" in without.err
    assert with_it.json["gatewayUrl"] == "wss://gw.example.com:8443/claw"
    assert with_it.json["urlSource"] == "gateway.remote.url"
    assert decode(with_it.json["setupCode"]).url == with_it.json["gatewayUrl"]
    assert len(machine.store.read().invitations) == 1


@pytest.mark.parametrize(
    ("words", "access", "admin"),
    [
        pytest.param((), "full", True, id="full"),
        pytest.param(("--limited",), "limited", False, id="limited"),
        pytest.param(("--voice-node",), "node", False, id="node"),
    ],
)
def test_what_a_phone_gets(machine: Machine, words, access, admin):
    url = ("--public-url", "wss://gw.example.com")

    told = machine.run("qr", "--offline", *url, *words, "--json").json
    bare = machine.run("qr", "--offline", *url, *words, "--setup-code-only")

    kept = list(machine.store.read().invitations.values())
    assert told["access"] == access
    assert decode(bare.out).url == told["gatewayUrl"] == "wss://gw.example.com"
    assert [("operator.admin" in one.scopes) for one in kept] == [admin, admin]
