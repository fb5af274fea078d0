"""The text of a unit: a template of ours with paths put in, quoted so that systemd reads them back.

Rule: what cannot be written safely is refused, never changed. No secret and no port is ever put in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from attrs import field, frozen

from stores.errors import ConfigError, UserFacingError

#: Above the first line of what was installed: tells our unit from one that somebody else wrote.
MARK = "# Written by `openclaw gateway install`; it is written anew by the next one."

#: A service that is reloaded by SIGHUP and says itself when it is done.
NOTIFY_RELOAD_SINCE = 253
#: Waiting longer from one restart to the next.
RESTART_STEPS_SINCE = 254

#: Names the unit instead of the profile, as published programs read it.
UNIT_VARIABLE = "OPENCLAW_SYSTEMD_UNIT"
#: Of systemd.unit(5) what needs no quoting; no template, whose instances are no files.
_UNIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,199}\.service")

_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
_VARIABLE = re.compile(r"OPENCLAW_[A-Z_]+|PATH")


class UnitTextError(UserFacingError):
    """A unit cannot be written with this word in it."""


@frozen(kw_only=True)
class UnitSpec:
    """What a unit of ours says that another machine's does not.

    Args:
        program: The absolute path of `openclaw`.
        environment: Variables the service needs to find its state; never a secret.
        path: Absolute directories where programs are looked for.
        profile: Of the state directory, for the description.
        run_as: The account of a system unit, None in a user unit.
        state_name: The name of a system unit's state directory below `/var/lib`.
        systemd: The version of the systemd that will read it; None is taken for an old one.
    """

    program: str
    environment: Mapping[str, str] = field(factory=dict)
    path: tuple[str, ...] = ()
    profile: str | None = None
    run_as: str | None = None
    state_name: str | None = None
    systemd: int | None = None


def unit_name(profile: str | None, env: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the name of the unit that serves a profile, or that the environment names.

    Raises:
        ConfigError: no service can have that name.
    """
    said = env.get(UNIT_VARIABLE, "").strip()
    if said:
        name = said if said.endswith(".service") else f"{said}.service"
        if not _UNIT_NAME.fullmatch(name):
            raise ConfigError(
                f"env {UNIT_VARIABLE}: {said[:60]!r} is no name of a service",
                remedy=f"set it to a name such as openclaw-mine.service, or `unset {UNIT_VARIABLE}`",
            )
        return name
    return "openclaw-gateway.service" if profile is None else f"openclaw-gateway-{profile}.service"


def render(template: str, spec: UnitSpec) -> str:
    """Return the unit's text.

    Raises:
        UnitTextError: a path or a name in it could not be read back as it is.
    """
    lines = [MARK, *_body(template)]
    changes = _changes(spec)
    written = [after for line in lines for after in changes.get(_key_of(line), (line,))]
    return "\n".join(written) + "\n"


def _body(template: str) -> Iterable[str]:
    """Return the template without its opening remark, which is for whoever copies it."""
    lines = template.splitlines()
    return lines[lines.index("[Unit]") :]


def _key_of(line: str) -> str:
    """Return what a line sets; of an environment line the variable as well."""
    name, _, value = line.partition("=")
    return f"{name}={value.partition('=')[0]}" if name == "Environment" else name


def _changes(spec: UnitSpec) -> dict[str, tuple[str, ...]]:
    words = f"{_program(spec.program)} gateway run --last-known-good"
    environment = [_variable(*one) for one in sorted(spec.environment.items())]
    if spec.path:
        environment.append(_variable("PATH", ":".join(_directory(one) for one in spec.path)))
    changes: dict[str, tuple[str, ...]] = {
        "ExecStart": (f"ExecStart={words}", *environment),
        "Environment=OPENCLAW_STATE_DIR": (),  # the template's own; ``environment`` has the right one
    }
    if spec.profile is not None:
        changes["Description"] = (f"Description=OpenClaw gateway (profile {spec.profile})",)
    if spec.run_as is not None:
        changes["User"] = (f"User={account(spec.run_as)}",)
    if spec.state_name is not None:
        changes["StateDirectory"] = (f"StateDirectory={spec.state_name}",)
    version = spec.systemd or 0
    if version >= NOTIFY_RELOAD_SINCE:
        changes |= {"Type": ("Type=notify-reload",), "ExecReload": ()}
    if version >= RESTART_STEPS_SINCE:
        longer = ("RestartSec=2", "RestartSteps=6", "RestartMaxDelaySec=60")
        changes["RestartSec"] = longer
    return changes


def _program(path: str) -> str:
    """Return the path of a program as ExecStart= takes it.

    A dollar stays as it is: only the words behind a program are expanded.
    """
    if any(char in path for char in "\"'\\"):
        raise UnitTextError(
            f"systemd starts no program whose path holds a quote or a backslash: {path}",
            remedy="install openclaw in another folder, then run `openclaw gateway install` there",
        )
    return quoted(path)


def quoted(text: str, *, of: str = "the program's path") -> str:
    """Return a word as a unit file writes it: quoted, with nothing for systemd to expand.

    Raises:
        UnitTextError: it holds a control character, such as the end of a line, or is not text.
    """
    if not text.isprintable() or not _is_text(text):
        raise UnitTextError(
            f"{of} holds a character that no unit may hold: {text!r}",
            remedy="move it to a path without control characters, then run "
            "`openclaw gateway install`",
        )
    for char, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        text = text.replace(char, written)
    return f'"{text}"'


def _is_text(text: str) -> bool:
    """Tell whether a text came from bytes that are UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _variable(name: str, value: str) -> str:
    assert _VARIABLE.fullmatch(name), name
    return f"Environment={quoted(f'{name}={value}', of=f'the value of {name}')}"


def _directory(path: str) -> str:
    if not path.startswith("/") or ":" in path:
        raise UnitTextError(
            f"{path!r} is no absolute directory, so programs must not be looked for there",
            remedy="take it out of PATH, then run `openclaw gateway install`",
        )
    return path


def account(name: str) -> str:
    """Return the name of an account.

    Raises:
        UnitTextError: it can be none.
    """
    if not _USER_NAME.fullmatch(name):
        raise UnitTextError(
            f"--run-as: {name!r} is no name of an account",
            remedy="name one that `getent passwd` lists",
        )
    return name


def is_ours(text: str) -> bool:
    """Tell whether a unit's text was written by `render`."""
    return text.startswith(MARK)


def template_of(*, system: bool) -> str:
    """Return the template of a user unit or of a system unit.

    Raises:
        UserFacingError: the installation lacks it.
    """
    name = "openclaw-gateway-system.service" if system else "openclaw-gateway.service"
    here = Path(__file__).resolve()
    # beside the package when installed, at the top of a checkout
    places = (here.parents[1] / "systemd" / name, here.parents[2] / "systemd" / name)
    for place in places:
        try:
            return place.read_text()
        except OSError:
            continue
    raise UserFacingError(
        f"this installation of openclaw lacks its file {name}", remedy="install it again"
    )
