"""Files that a user names are read without waiting, and refused in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stores.config.load import load_config, read_text
from stores.errors import ConfigError
from stores.paths import resolve_paths
from stores.plain_file import MAX_CONFIG_BYTES, is_there, read_regular, who_may


def test_a_file_behind_a_link_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 200_000)
    (tmp_path / "b").symlink_to(tmp_path / "a")

    assert read_regular(tmp_path / "b") == b"x" * 200_000


def test_a_pipe_as_the_configuration_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "openclaw.json")

    with pytest.raises(ConfigError, match="it is a pipe, no regular file") as caught:
        read_text(tmp_path / "openclaw.json")

    assert "ls -ld" in str(caught.value.remedy)


def test_a_pipe_as_an_included_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "more.json")
    (tmp_path / "openclaw.json").write_text('{"$include": "more.json"}')
    env = {"OPENCLAW_STATE_DIR": str(tmp_path)}

    with pytest.raises(ConfigError, match=r"more\.json: it is a pipe"):
        load_config(resolve_paths(env), env)


@pytest.mark.parametrize(("path", "kind"), [("/dev/zero", "device"), ("/tmp", "folder")])
def test_what_is_no_file_is_refused(path, kind):
    with pytest.raises(ConfigError, match=f"it is a {kind}, no"):
        read_text(Path(path))


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path):
    (tmp_path / "a").write_bytes(b" " * MAX_CONFIG_BYTES)
    assert len(read_regular(tmp_path / "a")) == MAX_CONFIG_BYTES

    (tmp_path / "a").write_bytes(b" " * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        read_regular(tmp_path / "a")


def test_a_missing_file_is_none_and_is_not_there(tmp_path):
    assert read_text(tmp_path / "a") is None
    assert not is_there(tmp_path / "a" / "b", of=tmp_path)
    assert not is_there(tmp_path / ("x" * 300), of=tmp_path)
    assert is_there(tmp_path, of=tmp_path)


def shut(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_folder_that_is_shut_is_told_with_whose_it_is(tmp_path, monkeypatch):
    real, owner = os.stat, tmp_path.stat().st_uid

    def stat(path: Any, **words: Any) -> Any:
        return shut() if Path(path) == tmp_path / "a" else real(path, **words)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        patch.setattr(os, "geteuid", lambda: owner + 1)
        patch.setattr("pwd.getpwuid", nameless)
        with pytest.raises(ConfigError) as caught:
            is_there(tmp_path / "a", of=tmp_path)

    assert caught.value.problem == (
        f"cannot read {tmp_path}: Permission denied "
        f"({tmp_path} belongs to user {owner}; you are {owner + 1})"
    )
    assert caught.value.remedy == f"run it as that user: `sudo -u '#{owner}' openclaw …`"


def nameless(uid: int) -> None:
    raise KeyError(uid)


def test_a_folder_of_ours_that_is_shut_is_opened_by_us(tmp_path):
    clause, remedy = who_may(tmp_path / "none" / "nothing")

    assert clause == f"{tmp_path} is yours, and shut to you too"
    assert remedy == f"open it with `chmod u+rwX {tmp_path}`"


def test_nothing_that_can_be_seen_is_roots(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", shut)
        patch.setattr(os, "geteuid", lambda: 1)
        clause, _ = who_may(Path("/a/b"))

    assert clause.startswith("/a/b belongs to user root")
