"""The checks of `openclaw doctor`, one after the other: a check that fails hinders no other."""

from __future__ import annotations

import os
import shlex
import stat as stat_bits
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from cli.failures import FAILED, failed_report
from cli.place import Place
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

_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@frozen(kw_only=True)
class Report:
    """What the doctor found.

    Args:
        about: Which gateway it looked at, and whether that runs.
        fixed: What `--fix` took care of.
        checked: Names of the checks made.
    """

    about: str
    openclaw: str
    findings: tuple[Finding, ...]
    fixed: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()

    def as_json(self, *, lint: bool = False) -> dict[str, Any]:
        """Return it for `--json`; what was fixed is there too, marked.

        Args:
            lint: Whether what matters is a failure, which then is told as one.
        """
        said: dict[str, Any] = {
            "ok": not any(one.severity.matters for one in self.findings),
            "about": self.about,
            "checked": list(self.checked),
            "schemaVersion": SCHEMA_VERSION,
            "checksRun": len(self.checked),
            "checksSkipped": 0,
            "findings": [
                *(one.as_json() | {"fixed": False} for one in self.findings),
                *(one.as_json() | {"fixed": True} for one in self.fixed),
            ],
        }
        first = next((one for one in self.findings if one.severity.matters), None)
        if not lint or first is None:
            return said
        remedy = f"see to it with `{first.command}`" if first.command else None
        return failed_report(said, f"{first.title}: {first.saw}", FAILED, remedy=remedy)


def look(here: Place, *, fix: bool = False, security: bool = False) -> Report:
    """Look at everything; with ``fix`` do what is safe, then look again.

    Args:
        security: Only at what lets somebody in, or lets them read secrets.
    """
    openclaw = f"openclaw --profile {here.paths.profile}" if here.paths.profile else "openclaw"
    reached, trouble = _reach(here, openclaw)
    if reached is None:
        return Report(
            about=_about(here, None),
            openclaw=openclaw,
            findings=tuple(trouble),
            checked=("owner",),
        )
    scene, known = reached
    checks = _checks(here, became=known is not None)
    found = _found(scene, checks)
    fixed: tuple[Finding, ...] = ()
    if fix and any(one.fixable for one in found):
        trouble = list(_fix(scene))
        scene = _scene(here, scene.paths, openclaw)
        after = _found(scene, checks)
        left = {one.id for one in after}
        fixed = tuple(one for one in found if one.fixable and one.id not in left)
        found = sorted([*trouble, *after], key=lambda one: _ORDER[one.severity])
    shown = [one for one in found if one.security or not security]
    return Report(
        about=_about(here, scene),
        openclaw=openclaw,
        findings=tuple(_as_known(shown, known, here)),
        fixed=tuple(_as_known(fixed, known, here)),
        checked=tuple(name for name, _ in checks),
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


def _found(scene: Scene, checks: Sequence[tuple[str, Check]]) -> list[Finding]:
    found = list[Finding]()
    for name, check in checks:
        try:
            found += check(scene)
        except (UserFacingError, OSError) as error:
            remedy = error.remedy if isinstance(error, UserFacingError) else None
            found.append(
                Finding(
                    id="not-checked",
                    severity=Severity.WARNING,
                    title=f"The check of {name} could not be made",
                    saw=str(error),
                    command=command_in(remedy),
                )
            )
    return sorted(found, key=lambda one: _ORDER[one.severity])


def _fix(scene: Scene) -> Iterator[Finding]:
    """Do what is safe; yield what could not be done."""
    for name, repair in (
        ("modes", modes.close),
        ("leftovers", leftovers.remove),
        ("store", devices.heal),
    ):
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
