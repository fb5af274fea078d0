"""A unit of this machine: where it is, what it says, and the program and state it is for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import frozen

from cli.place import Place, place
from cli.service.systemd import SYSTEM_PATH, Manager, absolute_entries, manager_for
from cli.service.unit import UnitSpec, is_ours, render, template_of, unit_name
from stores.errors import UserFacingError
from stores.paths import FOUND_IN_STATE_DIR, Paths, resolve_paths

#: Where the state of a service of the whole machine is.
SYSTEM_STATE = "/var/lib"
RUN_AS = "openclaw"


@frozen(kw_only=True)
class Service:
    """A unit of this machine: where it is, who runs it, what it needs to find its state."""

    place: Place
    paths: Paths
    system: bool
    name: str
    path: Path
    manager: Manager
    environment: Mapping[str, str]
    run_as: str | None = None

    def text(self) -> str:
        """Return what the unit should say.

        Raises:
            UserFacingError: this program or a path of this machine cannot stand in a unit.
        """
        said = self.place.env.get("PATH", "")
        program = program_path(sys.argv[0], said)
        spec = UnitSpec(
            program=program,
            environment=self.environment,
            path=path_of_unit(program, said),
            profile=self.place.paths.profile,
            run_as=self.run_as,
            state_name=state_name(self.place) if self.system else None,
            systemd=self.manager.version(),
        )
        return render(template_of(system=self.system), spec)

    def command(self, words: str) -> str:
        """Return a command of ours for this very service, before `cli.typed` spells it out."""
        return f"openclaw {words}{' --system' if self.system else ''}"

    def present(self) -> str | None:
        """Return what the unit says, None if there is none."""
        try:
            return self.path.read_text(errors="replace")
        except OSError:
            return None


def service_here(
    here: Place | None = None, *, system: bool = False, run_as: str | None = None
) -> Service:
    """Return the service of the running command: of its user and profile, or of the machine."""
    here = here or place()
    paths, name = here.paths, unit_name(here.paths.profile, here.env)
    environment = needed_environment(paths, home=home_of(here))
    manager = manager_for(here.env, uid=os.geteuid(), system=system)
    folder = _folder_of_units(here, manager)
    if system:
        state = Path(SYSTEM_STATE) / state_name(here)
        environment = {"OPENCLAW_STATE_DIR": str(state)}  # it has the profile in its name
        paths = resolve_paths({"HOME": "/"} | environment)
        folder = Path("/etc/systemd/system")
    return Service(
        place=here,
        paths=paths,
        system=system,
        name=name,
        path=folder / name,
        manager=manager,
        environment=environment,
        run_as=(run_as or RUN_AS) if system else None,
    )


def state_name(here: Place) -> str:
    """Return how the folder of a system unit's state is called, however the unit itself is named.

    A unit may be named as another program's is; the state of that program is not ours.
    """
    return unit_name(here.paths.profile).removesuffix(".service")


def _folder_of_units(here: Place, manager: Manager) -> Path:
    """Return where a user's units belong: what a shell sets, the manager need not know."""
    usual = home_of(here) / ".config" / "systemd" / "user"
    said = here.env.get("XDG_CONFIG_HOME", "")
    other = Path(said) / "systemd" / "user"
    if said.startswith("/") and other != usual and manager.looks_in(other):
        return other
    return usual


def home_of(here: Place) -> Path:
    """Return the home of whoever runs the command."""
    return Path(here.env.get("HOME") or Path.home())


def needed_environment(paths: Paths, *, home: Path) -> dict[str, str]:
    """Return the variables without which the service would look for its state elsewhere."""
    needed = {} if paths.profile is None else {"OPENCLAW_PROFILE": paths.profile}
    usual = resolve_paths({"HOME": str(home)} | needed)
    if paths.state_dir != usual.state_dir:
        needed["OPENCLAW_STATE_DIR"] = str(paths.state_dir)
    if paths.config_source != FOUND_IN_STATE_DIR:
        needed["OPENCLAW_CONFIG_PATH"] = str(paths.config_path)
    return needed


def program_path(started_as: str, path: str, *, cwd: Callable[[], str] = os.getcwd) -> str:
    """Return the absolute path of the `openclaw` that runs; a link is kept, for it may move on.

    Raises:
        UserFacingError: it is no program of that name, or was found through a relative entry of
            PATH: whoever could write to the present directory would choose what the service runs.
    """
    folder, name = os.path.split(started_as)
    if not folder:
        found = shutil.which(name, path=":".join(absolute_entries(path)))
        started_as, folder = (found, os.path.dirname(found)) if found else ("", "")
    relative = [one or "." for one in path.split(":") if not one.startswith("/")]
    if folder and os.path.normpath(folder) in map(os.path.normpath, relative):
        raise UserFacingError(
            f"openclaw was found through {folder!r}, a relative entry of PATH",
            remedy="take it out of PATH, or name the program by its whole path, then run "
            "`openclaw gateway install`",
        )
    absolute = os.path.normpath(started_as) if started_as else ""
    if absolute and not os.path.isabs(absolute):
        absolute = os.path.normpath(os.path.join(cwd(), started_as))
    if not (os.path.isfile(absolute) and os.access(absolute, os.X_OK)):
        raise UserFacingError(
            "this program was not started as an installed `openclaw`, so a unit cannot name it",
            remedy="install it (`pip install .` in a venv) and use the `openclaw` of its bin folder",
        )
    return absolute


def path_of_unit(program: str, path: str) -> tuple[str, ...]:
    """Return where the service looks for programs: the system's folders, never the shell's.

    The program's own folder is in front if the user's shell finds it there, so that the commands
    in the gateway's messages are the ones the user can type.
    """
    own = os.path.dirname(program)
    usual = ("/usr/local/bin", "/usr/bin", "/bin")
    found = shutil.which("openclaw", path=":".join(absolute_entries(path)))
    known = found is not None and os.path.dirname(found) == own
    fits = known and own not in SYSTEM_PATH and ":" not in own and own.isprintable()
    return (own, *usual) if fits else usual


def kept_beside(path: Path, present: str | None, text: str) -> Path | None:
    """Return where a unit that is about to be replaced is kept, None if it need not be."""
    if present is None or present == text or is_ours(present):
        return None
    return path.with_name(f"{path.name}.bak")
