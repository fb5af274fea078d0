"""Which program, which state and which manager a unit is for, told from the shell it is made in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.place import Place
from cli.service.service import (
    kept_beside,
    needed_environment,
    path_of_unit,
    program_path,
    service_here,
    state_name,
)
from cli.service.systemd import (
    gives_users_a_manager,
    is_running_systemd,
    lingers,
    manager_for,
    runtime_dir,
)
from cli.service.unit import MARK, UNIT_VARIABLE
from stores.errors import UserFacingError
from stores.paths import resolve_paths


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return an installed `openclaw`."""
    file = tmp_path / "venv" / "bin" / "openclaw"
    file.parent.mkdir(parents=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_a_program_named_by_its_whole_path_is_taken_as_it_is_named(program: Path):
    link = program.parent.parent / "openclaw"
    link.symlink_to(program)

    assert program_path(str(program), "") == str(program)
    assert program_path(str(link), "") == str(link)


def test_a_program_typed_with_its_folder_is_taken_from_there(program: Path):
    def cwd() -> str:
        return str(program.parent.parent)

    assert program_path("bin/openclaw", "/usr/bin", cwd=cwd) == str(program)
    assert program_path("./bin/../bin/openclaw", "/usr/bin", cwd=cwd) == str(program)


def test_a_bare_name_is_looked_for_in_absolute_folders_alone(
    program: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(program.parent)

    assert program_path("openclaw", f"/usr/bin:{program.parent}") == str(program)
    with pytest.raises(UserFacingError, match="not started as an installed"):
        program_path("openclaw", "/usr/bin:.:")


@pytest.mark.parametrize(
    ("started_as", "path"),
    [
        pytest.param("./openclaw", ".:/usr/bin", id="dot"),
        pytest.param("./openclaw", "/usr/bin:", id="empty-entry"),
        pytest.param("bin/openclaw", "/usr/bin:bin", id="folder"),
        pytest.param("./bin/openclaw", "bin/:/usr/bin", id="folder-spelt-otherwise"),
    ],
)
def test_a_program_found_through_a_relative_entry_of_path_is_refused(
    program: Path, started_as: str, path: str
):
    folder = program.parent if "bin" not in started_as else program.parent.parent

    with pytest.raises(UserFacingError, match="relative entry of PATH"):
        program_path(started_as, path, cwd=lambda: str(folder))


@pytest.mark.parametrize("started_as", ["-c", "", "/nowhere/openclaw", "/etc/passwd", "/tmp"])
def test_what_is_no_installed_program_is_refused(started_as: str):
    with pytest.raises(UserFacingError, match="not started as an installed"):
        program_path(started_as, "/usr/bin")


def test_the_units_path_has_the_programs_folder_only_where_the_shell_finds_it(program: Path):
    own = str(program.parent)
    usual = ("/usr/local/bin", "/usr/bin", "/bin")

    assert path_of_unit(str(program), f"{own}:/usr/bin") == (own, *usual)
    assert path_of_unit(str(program), "/usr/bin") == usual
    assert path_of_unit(str(program), "") == usual
    assert all(part.startswith("/") for part in path_of_unit(str(program), f".:{own}"))


@pytest.mark.parametrize(
    ("env", "profile", "needed"),
    [
        pytest.param({}, None, {}, id="nothing"),
        pytest.param({}, "work", {"OPENCLAW_PROFILE": "work"}, id="profile"),
        pytest.param(
            {"OPENCLAW_PROFILE": "work"},
            None,
            {"OPENCLAW_PROFILE": "work"},
            id="profile-by-variable",
        ),
        pytest.param({"OPENCLAW_STATE_DIR": "/h/.openclaw"}, None, {}, id="usual-state"),
        pytest.param(
            {"OPENCLAW_STATE_DIR": "/s"}, None, {"OPENCLAW_STATE_DIR": "/s"}, id="other-state"
        ),
        pytest.param(
            {"OPENCLAW_HOME": "/o"},
            None,
            {"OPENCLAW_STATE_DIR": "/o/.openclaw"},
            id="other-home",
        ),
        pytest.param(
            {"OPENCLAW_CONFIG_PATH": "/etc/o.json"},
            None,
            {"OPENCLAW_CONFIG_PATH": "/etc/o.json"},
            id="configuration",
        ),
        pytest.param(
            {"OPENCLAW_GATEWAY_TOKEN": "s", "OPENCLAW_GATEWAY_PORT": "1", "LD_PRELOAD": "/x"},
            None,
            {},
            id="neither-secret-nor-port",
        ),
    ],
)
def test_only_what_the_service_needs_to_find_its_state_goes_into_the_unit(env, profile, needed):
    paths = resolve_paths({"HOME": "/h"} | env, profile=profile)

    assert needed_environment(paths, home=Path("/h")) == needed


def test_a_manager_is_asked_with_the_users_own_directory_and_safe_programs():
    env = {
        "XDG_RUNTIME_DIR": "/run/user/77",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/77/bus",
        "PATH": ".:relative:/opt/bin",
        "NOTIFY_SOCKET": "/run/systemd/notify",
    }

    told = manager_for(env, uid=4_000_000_000).env

    assert "XDG_RUNTIME_DIR" not in told
    assert "DBUS_SESSION_BUS_ADDRESS" not in told
    assert "NOTIFY_SOCKET" not in told
    assert all(part.startswith("/") for part in told["PATH"].split(":"))
    assert "/opt/bin" in told["PATH"]


def test_a_runtime_directory_counts_only_if_it_is_the_users_own(tmp_path: Path):
    uid = os.getuid()
    tmp_path.joinpath(f"run/user/{uid}").mkdir(parents=True)
    tmp_path.joinpath(f"run/user/{uid + 1}").mkdir()
    tmp_path.joinpath(f"run/user/{uid + 2}").symlink_to(tmp_path)

    assert runtime_dir(uid, tmp_path) == tmp_path / f"run/user/{uid}"
    assert runtime_dir(uid + 1, tmp_path) is None
    assert runtime_dir(uid + 2, tmp_path) is None
    assert runtime_dir(uid + 3, tmp_path) is None


def test_linger_systemd_and_packages_are_read_from_the_disk(tmp_path: Path):
    before = (
        lingers("u1", tmp_path),
        is_running_systemd(tmp_path),
        gives_users_a_manager(tmp_path),
    )
    for folder in ("var/lib/systemd/linger", "run/systemd/system", "usr/lib/systemd/user"):
        tmp_path.joinpath(folder).mkdir(parents=True)
    tmp_path.joinpath("var/lib/systemd/linger/u1").touch()
    tmp_path.joinpath("usr/lib/systemd/user/dbus.socket").touch()

    assert before == (False, False, False)
    assert lingers("u1", tmp_path)
    assert not lingers("u2", tmp_path)
    assert is_running_systemd(tmp_path)
    assert gives_users_a_manager(tmp_path)


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        pytest.param(None, False, id="none"),
        pytest.param("same", False, id="same"),
        pytest.param(f"{MARK}\nolder", False, id="ours"),
        pytest.param("[Service]\nby hand", True, id="of-somebody-else"),
    ],
)
def test_only_a_unit_of_somebody_else_is_kept(present: str | None, kept: bool):
    found = kept_beside(Path("/u/a.service"), present, "same")

    assert found == (Path("/u/a.service.bak") if kept else None)


@pytest.mark.parametrize(
    ("system", "folder", "state"),
    [
        pytest.param(False, "{home}/.config/systemd/user", "{home}/.openclaw", id="user"),
        pytest.param(True, "/etc/systemd/system", "/var/lib/openclaw-gateway", id="system"),
    ],
)
def test_a_named_unit_is_that_one_and_its_state_stays(
    tmp_path: Path, system: bool, folder: str, state: str
):
    here = Place({"HOME": str(tmp_path), UNIT_VARIABLE: "postgresql.service"})

    service = service_here(here, system=system)

    assert service.name == "postgresql.service"
    assert str(service.path) == f"{folder.format(home=tmp_path)}/postgresql.service"
    assert str(service.paths.state_dir) == state.format(home=tmp_path)
    assert state_name(here) == "openclaw-gateway"
