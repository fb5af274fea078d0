"""The checks of `openclaw doctor`, one after the other: a check that fails hinders no other."""

from __future__ import annotations

import os
import shlex
import stat as stat_bits
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from cli.doctor_choice import Choice
from cli.failures import FAILED, failed_report
from cli.place import Place
from cli.typed import told_here
from cli.whose import in_full
from stores.checks import configuration, devices, exposure, leftovers, machine, modes
from stores.checks.finding import Finding, Scene, Severity, command_in
from stores.config.in_use import config_in_use
from stores.credentials import resolve_gateway_auth
from stores.errors import StoreError, UserFacingError
from stores.paths import FOUND_IN_STATE_DIR, Paths
from stores.plain_file import who_may
from stores.running import Standing, read_running

Check = Callable[[Scene], Iterable[Finding]]

#: Of the report of `--json`, as published programs look for it.
SCHEMA_VERSION = 1

ALL = Choice()

_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@frozen(kw_only=True)
class Report:
    """What the doctor found.

    Args:
        about: Which gateway it looked at, and whether that runs.
        fixed: What `--fix` took care of.
        checked: Names of the checks made.
        skipped: How many were not.
        all_matter: Whether every finding does, as when a least severity was asked for.
    """

    about: str
    openclaw: str
    findings: tuple[Finding, ...]
    fixed: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()
    skipped: int = 0
    all_matter: bool = False

    @property
    def failing(self) -> tuple[Finding, ...]:
        """What makes ``--lint`` fail."""
        return tuple(one for one in self.findings if self.all_matter or one.severity.matters)

    def as_json(self, *, lint: bool = False) -> dict[str, Any]:
        """Return it for `--json`; what was fixed is there too, marked.

        Args:
            lint: Whether what matters is a failure, which then is told as one.
        """
        said: dict[str, Any] = {
            "ok": not self.failing,
            "about": self.about,
            "checked": list(self.checked),
            "schemaVersion": SCHEMA_VERSION,
            "checksRun": len(self.checked),
            "checksSkipped": self.skipped,
            "findings": [
                *(told_here(one.as_json()) | {"fixed": False} for one in self.findings),
                *(told_here(one.as_json()) | {"fixed": True} for one in self.fixed),
            ],
        }
        if not lint or not self.failing:
            return said
        first = self.failing[0]
        remedy = f"see to it with `{first.command}`" if first.command else None
        return failed_report(said, f"{first.title}: {first.saw}", FAILED, remedy=remedy)


def look(here: Place, *, fix: bool = False, choice: Choice = ALL) -> Report:
    """Look at what was asked for; with ``fix`` do what is safe of it, then look again."""
    openclaw = "openclaw"
    reached, trouble = _reach(here, openclaw)
    if reached is None:
        return Report(
            about=_about(here, None),
            openclaw=openclaw,
            findings=tuple(trouble),
            checked=("owner",),
            all_matter=choice.minimum is not None,
        )
    scene, known = reached
    possible = _checks(here, became=known is not None)
    checks = [(name, check) for name, check in possible if choice.runs(name)]
    found = _found(scene, checks, choice)
    fixed: tuple[Finding, ...] = ()
    fixable = {name for name, one in found if one.fixable}
    if fix and fixable:
        trouble = list(_fix(scene, _REPAIRS if choice.everything else fixable))
        scene = _scene(here, scene.paths, openclaw)
        after = _found(scene, checks, choice)
        left = {one.id for _, one in after}
        fixed = tuple(one for _, one in found if one.fixable and one.id not in left)
        found = [*(("", one) for one in trouble), *after]
    shown = sorted((one for _, one in found), key=lambda one: _ORDER[one.severity])
    return Report(
        about=_about(here, scene),
        openclaw=openclaw,
        findings=tuple(_as_known(shown, known, here)),
        fixed=tuple(_as_known(fixed, known, here)),
        checked=tuple(name for name, _ in checks),
        skipped=len(possible) - len(checks),
        all_matter=choice.minimum is not None,
    )


def _reach(here: Place, openclaw: str) -> tuple[tuple[Scene, str | None] | None, list[Finding]]:
    """Become the owner of the files, if this is root, and gather what all checks need.

    Returns:
        The scene, with the path by which the state directory is reached if that is another one;
        or None, and why.
    """
    from cli.offline import owner_of  # late, as below: only when something is looked at

    try:
        owner = owner_of(here)
    except StoreError as error:
        told = Finding(
            id="state-dir-untrusted",
            severity=Severity.ERROR,
            title="The state directory cannot be trusted, so nothing in it was looked at",
            saw=str(error),
            command=command_in(error.remedy),
            security=True,
        )
        return None, [told]
    shut = _shut(here.paths.state_dir if owner is None else owner.reached, here.env)
    if shut is not None:
        return None, [shut]
    paths, known = here.paths, None
    if owner is not None and owner.became:
        known = str(owner.reached)
        inside = paths.config_source == FOUND_IN_STATE_DIR
        config = owner.reached / paths.config_path.name if inside else paths.config_path
        paths = evolve(paths, state_dir=owner.reached, config_path=config)
    return (_scene(here, paths, openclaw), known), []


def _shut(state_dir: Path, env: Mapping[str, str]) -> Finding | None:
    """Return that this user may not look into the state directory; of one not there, None."""
    try:
        if not stat_bits.S_ISDIR(os.stat(state_dir).st_mode):
            return Finding(
                id="state-dir-untrusted",
                severity=Severity.ERROR,
                title="What has the name of the state directory is no folder",
                saw=f"{state_dir} is a file",
                command=shlex.join(["mv", str(state_dir), f"{state_dir}.old"]),
            )
    except FileNotFoundError:
        return None
    except OSError:
        pass
    else:
        if os.access(state_dir, os.R_OK | os.X_OK):
            return None
    clause, remedy = who_may(state_dir)
    return Finding(
        id="state-dir-shut",
        severity=Severity.ERROR,
        title="This user may not look into the state directory, so nothing in it was looked at",
        saw=f"cannot enter {state_dir}: {clause}",
        command=command_in(in_full(remedy, "openclaw doctor", env)),
    )


def _scene(here: Place, paths: Paths, openclaw: str) -> Scene:
    scene = Scene(
        paths=paths,
        env=here.env,
        now_ms=time.time_ns() // 1_000_000,
        openclaw=openclaw,
        running=read_running(paths.state_dir),
    )
    found = config_in_use(paths, here.env, scene.running)
    if isinstance(found.said, UserFacingError):
        return evolve(scene, fault=found.said)
    loaded = found.said
    if found.lost:
        scene, loaded = evolve(scene, lost=found.problem), found.runs or loaded
    try:
        auth = resolve_gateway_auth(loaded, here.env)
    except UserFacingError as error:
        return evolve(scene, loaded=loaded, auth_fault=error)
    return evolve(scene, loaded=loaded, auth=auth)


def _checks(here: Place, *, became: bool) -> list[tuple[str, Check]]:
    from cli.doctor_around import proxies, service  # late: they load more than the files need

    checks: list[tuple[str, Check]] = [
        ("modes", modes.check),
        ("leftovers", leftovers.check),
        ("configuration", configuration.check),
        ("exposure", exposure.check),
        ("devices", devices.check),
        ("machine", machine.check),
        ("proxies", proxies),
    ]
    if not became:  # root that became somebody else has no session of theirs to ask
        checks.append(("service", lambda scene: service(scene, here)))
    return checks


def _found(
    scene: Scene, checks: Sequence[tuple[str, Check]], choice: Choice
) -> list[tuple[str, Finding]]:
    """Return what is asked for, each with the name of its check."""
    found = list[tuple[str, Finding]]()
    for name, check in checks:
        try:
            found += [(name, one) for one in check(scene) if choice.takes(name, one)]
        except (UserFacingError, OSError) as error:
            remedy = error.remedy if isinstance(error, UserFacingError) else None
            told = Finding(
                id="not-checked",
                severity=Severity.WARNING,
                title=f"The check of {name} could not be made",
                saw=str(error),
                command=command_in(remedy),
            )
            found.append((name, told))
    return sorted(found, key=lambda each: _ORDER[each[1].severity])


#: Name of a check -> what its repair mends, and how.
_REPAIRS = {
    "modes": ("modes", modes.close),
    "leftovers": ("leftovers", leftovers.remove),
    "devices": ("store", devices.heal),
}


def _fix(scene: Scene, wanted: Container[str]) -> Iterator[Finding]:
    """Do what is safe, by name of check; yield what could not be done."""
    for name, repair in (each for check, each in _REPAIRS.items() if check in wanted):
        try:
            repair(scene)
        except (UserFacingError, OSError) as error:
            remedy = error.remedy if isinstance(error, UserFacingError) else None
            yield Finding(
                id="not-fixed",
                severity=Severity.ERROR,
                title=f"The {name} could not be fixed",
                saw=str(error),
                command=command_in(remedy),
            )


def _about(here: Place, scene: Scene | None) -> str:
    folder = here.paths.state_dir
    if scene is None:
        return f"{folder}: not looked at"
    running = scene.running
    if running is None or running.standing is Standing.ENDED:
        return f"{folder}: no gateway runs here"
    port = f", port {running.port}" if running.port else ""
    standing = {
        Standing.RUNS: "a gateway runs here",
        Standing.STOPPED: "a gateway is here, but its process is stopped",
        Standing.ELSEWHERE: "a gateway of another container has it",
    }[running.standing]
    return f"{folder}: {standing} (pid {running.pid}{port})"


def _as_known(found: Iterable[Finding], reached: str | None, here: Place) -> Iterator[Finding]:
    """Yield findings with paths as the user knows them, however they were reached."""
    known = str(here.paths.state_dir)
    for one in found:
        if reached is None or reached == known:
            yield one
        else:
            command = one.command.replace(reached, known) if one.command else None
            yield evolve(one, saw=one.saw.replace(reached, known), command=command)
