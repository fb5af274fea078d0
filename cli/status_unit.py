"""What the service of this machine's gateway is set up with: the file's own words, drop-ins included."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from cli.output import note, printable
from cli.service.unit import is_ours
from stores.credentials import Secret, SecretKind
from stores.errors import ConfigError, UserFacingError
from stores.paths import resolve_paths

if TYPE_CHECKING:
    from cli.service.report import UnitReport

#: More than any unit says.
_MAX_BYTES = 1 << 18


@frozen(kw_only=True)
class UnitSeen:
    """The unit, what systemd says of it, and what its environment makes of the gateway.

    Args:
        config_path: The configuration that the service uses.
        state_dir: And its state directory.
        secrets: Those that stand in it, which no unit of this version does.
    """

    report: UnitReport
    config_path: str | None = None
    state_dir: str | None = None
    secrets: tuple[Secret, ...] = ()

    @property
    def installed(self) -> bool:
        """Tell whether there is one."""
        return self.report.facts.installed

    @property
    def linger(self) -> bool | None:
        """Tell whether it stays at logout; None where that means nothing."""
        facts = self.report.facts
        if facts.system or not facts.systemd or not facts.installed:
            return None
        return facts.linger

    @property
    def command(self) -> str:
        """The command that starts what is installed."""
        return self.report.facts.command("gateway start")

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        told = self.report.as_json() | {"configPath": self.config_path}
        return told | self.report.service_json()

    def published(self) -> dict[str, Any]:
        """Return what published reports have as ``gatewayService``."""
        ours = is_ours(self.report.service.present() or "")
        return self.report.service_json() | {
            "installed": self.installed,
            "managedByOpenClaw": self.installed and ours,
            "externallyManaged": self.installed and not ours,
        }


def look_at_unit(*, system: bool = False) -> UnitSeen | None:
    """Return what is to be known of the service, None where that cannot be found out."""
    from cli.service.report import unit_report  # late, both: a status of elsewhere needs neither
    from cli.service.service import home_of, service_here

    try:
        service = service_here(system=system)
        report = unit_report(service)
    except ConfigError as error:  # a name that no unit can have
        note(printable(f"warning: {error.problem}; {error.remedy}", limit=1_000))
        return None
    except (UserFacingError, OSError):
        return None
    if not report.facts.installed:
        return UnitSeen(report=report)
    said = {name: (value, file) for file, name, value in variables_of(service.path)}
    env = {name: value for name, (value, _) in said.items()}
    path = state_dir = None
    with contextlib.suppress(UserFacingError):
        paths = resolve_paths({"HOME": str(home_of(service.place))} | env)
        path, state_dir = str(paths.config_path), str(paths.state_dir)
    secrets = tuple(
        Secret(env[kind.variable], kind, f"{kind.variable} in {said[kind.variable][1]}")
        for kind in SecretKind
        if env.get(kind.variable, "").strip()
    )
    return UnitSeen(report=report, config_path=path, state_dir=state_dir, secrets=secrets)


def variables_of(unit: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield where a unit and its drop-ins set which variable; what comes last counts."""
    drop_ins = sorted(unit.with_name(f"{unit.name}.d").glob("*.conf"))
    for file in (unit, *drop_ins):
        for name, value in environment_of(_text_of(file)).items():
            yield file, name, value


def environment_of(text: str) -> Mapping[str, str]:
    """Return the variables that the text of a unit sets.

    Source: systemd.exec(5), `Environment=`; what `EnvironmentFile=` names is not read.
    """
    found: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        key, _, value = line.strip().partition("=")
        if key.strip() != "Environment":
            continue
        with contextlib.suppress(ValueError):
            for word in shlex.split(value):
                name, equals, said = word.partition("=")
                if equals:
                    found[name] = said.replace("%%", "%")
    return found


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""
