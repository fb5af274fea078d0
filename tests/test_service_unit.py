"""The text of a unit: read back by systemd as it was meant, without a secret, a port, or a trap."""

from __future__ import annotations

import pytest

from cli.service.unit import (
    MARK,
    UNIT_VARIABLE,
    UnitSpec,
    UnitTextError,
    is_ours,
    render,
    template_of,
    unit_name,
)
from stores.errors import ConfigError

PROGRAM = "/opt/openclaw/bin/openclaw"
USER, SYSTEM = template_of(system=False), template_of(system=True)


def values(text: str, key: str) -> list[str]:
    """Return what a unit sets a key to, in order."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_a_unit_names_the_program_and_carries_its_mark():
    text = render(USER, UnitSpec(program=PROGRAM))

    assert text.startswith(f"{MARK}\n[Unit]\n")
    assert is_ours(text)
    assert not is_ours(USER)
    assert values(text, "ExecStart") == [f'"{PROGRAM}" gateway run --last-known-good']


@pytest.mark.parametrize("template", [USER, SYSTEM], ids=["user", "system"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "78"),
        ("WatchdogSec", "30"),
        ("UMask", "0077"),
        ("NoNewPrivileges", "yes"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
    ],
)
def test_every_unit_has_what_keeps_it_well(template: str, key: str, value: str):
    assert values(render(template, UnitSpec(program=PROGRAM)), key) == [value]


@pytest.mark.parametrize("template", [USER, SYSTEM], ids=["user", "system"])
def test_no_unit_has_a_secret_or_a_port(template: str):
    spec = UnitSpec(program=PROGRAM, environment={"OPENCLAW_PROFILE": "work"}, profile="work")
    text = render(template, spec).lower()

    assert "token" not in text
    assert "password" not in text
    assert "--port" not in text
    assert "18789" not in text


@pytest.mark.parametrize("template", [USER, SYSTEM], ids=["user", "system"])
def test_every_directive_that_takes_a_right_away_has_its_reason_above(template: str):
    lines = template.splitlines()
    body = lines[lines.index("UMask=0077") - 1 : lines.index("[Install]")]

    reasons = [line for line in body if line.startswith("#")]

    assert body[0].startswith("#")
    assert len(reasons) >= 6


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("/home/u one", '"OPENCLAW_STATE_DIR=/home/u one"', id="space"),
        pytest.param("/home/100%h", '"OPENCLAW_STATE_DIR=/home/100%%h"', id="percent"),
        pytest.param('/home/"q"', r'"OPENCLAW_STATE_DIR=/home/\"q\""', id="quote"),
        pytest.param("/home/a\\b", r'"OPENCLAW_STATE_DIR=/home/a\\b"', id="backslash"),
        pytest.param("/home/ärger", '"OPENCLAW_STATE_DIR=/home/ärger"', id="not-ascii"),
    ],
)
def test_a_value_is_quoted_as_systemd_reads_it(value: str, written: str):
    spec = UnitSpec(program=PROGRAM, environment={"OPENCLAW_STATE_DIR": value})

    assert written in values(render(USER, spec), "Environment")


def test_a_percent_in_the_programs_path_is_doubled_and_a_dollar_is_not():
    text = render(USER, UnitSpec(program="/home/50% $x/openclaw"))

    assert values(text, "ExecStart") == ['"/home/50%% $x/openclaw" gateway run --last-known-good']


INJECTION = "\nExecStartPost=/bin/sh -c evil"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\0", "\x1b", "\u2028", "\udcff"], ids=repr)
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(lambda end: UnitSpec(program=f"/opt/a{end}b/openclaw"), id="program"),
        pytest.param(
            lambda end: UnitSpec(
                program=PROGRAM, environment={"OPENCLAW_STATE_DIR": f"/s{end}{INJECTION}"}
            ),
            id="state-directory",
        ),
        pytest.param(
            lambda end: UnitSpec(
                program=PROGRAM, environment={"OPENCLAW_CONFIG_PATH": f"/c{end}User=root"}
            ),
            id="configuration",
        ),
        pytest.param(lambda end: UnitSpec(program=PROGRAM, path=(f"/bin{end}",)), id="path"),
        pytest.param(lambda end: UnitSpec(program=PROGRAM, run_as=f"me{end}"), id="account"),
    ],
)
def test_a_line_cannot_be_smuggled_into_a_unit(spec, end: str):
    with pytest.raises(UnitTextError):
        render(SYSTEM, spec(end))


@pytest.mark.parametrize("path", ["", ".", "bin", "./bin", "/a:b"])
def test_a_relative_entry_of_path_is_refused(path: str):
    with pytest.raises(UnitTextError, match="no absolute directory"):
        render(USER, UnitSpec(program=PROGRAM, path=("/usr/bin", path)))


@pytest.mark.parametrize("char", ['"', "'", "\\"])
def test_a_program_that_systemd_would_not_start_is_refused(char: str):
    with pytest.raises(UnitTextError, match="quote or a backslash"):
        render(USER, UnitSpec(program=f"/opt/{char}/openclaw"))


@pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 33, "1st", "a%h"])
def test_a_name_that_no_account_has_is_refused(name: str):
    with pytest.raises(UnitTextError, match="--run-as"):
        render(SYSTEM, UnitSpec(program=PROGRAM, run_as=name))


def test_a_system_unit_runs_as_its_account_with_a_state_of_its_own():
    spec = UnitSpec(
        program=PROGRAM,
        run_as="gw",
        state_name="openclaw-gateway-work",
        environment={"OPENCLAW_STATE_DIR": "/var/lib/openclaw-gateway-work"},
    )

    text = render(SYSTEM, spec)

    assert values(text, "User") == ["gw"]
    assert values(text, "StateDirectory") == ["openclaw-gateway-work"]
    assert values(text, "ProtectSystem") == ["strict"]
    assert '"OPENCLAW_STATE_DIR=/var/lib/openclaw-gateway-work"' in values(text, "Environment")
    assert text.count("OPENCLAW_STATE_DIR") == 1


@pytest.mark.parametrize(
    ("systemd", "kind", "reload", "steps"),
    [
        pytest.param(None, "notify", 1, [], id="unknown"),
        pytest.param(252, "notify", 1, [], id="252"),
        pytest.param(253, "notify-reload", 0, [], id="253"),
        pytest.param(254, "notify-reload", 0, ["6"], id="254"),
    ],
)
def test_only_what_the_systemd_of_the_machine_knows_is_used(
    systemd: int | None, kind: str, reload: int, steps: list[str]
):
    text = render(USER, UnitSpec(program=PROGRAM, systemd=systemd))

    assert values(text, "Type") == [kind]
    assert len(values(text, "ExecReload")) == reload
    assert values(text, "RestartSteps") == steps


@pytest.mark.parametrize(
    ("profile", "name"),
    [(None, "openclaw-gateway.service"), ("work", "openclaw-gateway-work.service")],
)
def test_a_profile_has_a_unit_of_its_own(profile: str | None, name: str):
    assert unit_name(profile) == name
    text = render(USER, UnitSpec(program=PROGRAM, profile=profile))
    assert ("profile work" in values(text, "Description")[0]) is (profile == "work")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        pytest.param("foo.service", "foo.service", id="whole"),
        pytest.param("foo", "foo.service", id="short"),
        pytest.param(" ", "openclaw-gateway-work.service", id="empty"),
    ],
)
def test_the_environment_may_name_the_unit(said: str, name: str):
    assert unit_name("work", {UNIT_VARIABLE: said}) == name


@pytest.mark.parametrize(
    "said",
    ["../evil.service", "a b.service", "foo@.service", "-x", ".service", "a\nb", "x" * 300, "%i"],
)
def test_what_can_name_no_unit_is_refused(said: str):
    with pytest.raises(ConfigError, match="is no name of a service"):
        unit_name(None, {UNIT_VARIABLE: said})
