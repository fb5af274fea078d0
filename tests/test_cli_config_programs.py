"""`openclaw config` as the real program: two writers at once, and modes under any umask."""

from __future__ import annotations

import stat
import subprocess
from contextlib import ExitStack

import pytest

from stores.config.load import digest_of
from stores.files import locked
from tests.scenarios.programs import OPENCLAW, environment, eventually, openclaw

pytestmark = pytest.mark.slow


def start(state_dir, *words):
    return subprocess.Popen(
        [*OPENCLAW, "config", *words],
        env=environment(state_dir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def waits(process):
    """Tell whether a process sleeps between two looks at a lock."""
    with open(f"/proc/{process.pid}/wchan") as file:
        return "nanosleep" in file.read()


def test_of_two_writers_at_once_one_wins_and_the_other_gets_the_difference(tmp_path):
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    text = '{gateway: {port: 1, auth: {token: "s3cret-token"}}} // mine\n'
    (state_dir / "openclaw.json").write_text(text)

    processes = [
        start(state_dir, "set", "gateway.port", str(port), "--if-hash", digest_of(text))
        for port in (2, 3, 4, 5)
    ]
    ended = [(one.communicate(timeout=30), one.returncode) for one in processes]

    assert sorted(code for _, code in ended) == [0, 1, 1, 1]
    winner = next(out for (out, _), code in ended if code == 0)
    port = winner.split("→ ")[1].split("\n")[0]
    assert (state_dir / "openclaw.json").read_text() == text.replace("1", port, 1)
    for (out, err), code in ended:
        assert "s3cret" not in out + err
        if code:
            assert out == ""
            assert "was changed by somebody else" in err
            assert f"+{{gateway: {{port: {port}" in err


def test_a_writer_that_waited_does_not_undo_what_it_waited_for(tmp_path):
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    file = state_dir / "openclaw.json"
    file.write_text("{gateway: {port: 1}}")
    with ExitStack() as held:
        held.enter_context(locked(state_dir / "config.lock"))
        process = start(state_dir, "set", "gateway.bind", "lan")
        try:
            eventually(lambda: waits(process))
        except (OSError, AssertionError):
            process.kill()
            process.communicate()
            pytest.skip("this kernel does not tell what a process waits for")

        file.write_text("{gateway: {port: 2}}")
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (1, "")
    assert "was changed by somebody else" in err
    assert file.read_text() == "{gateway: {port: 2}}"


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_every_file_is_private_whatever_the_umask(tmp_path, umask):
    state_dir = tmp_path / "state"

    for words in (("set", "gateway.port", "1"), ("set", "gateway.port", "2"), ("convert",)):
        done = subprocess.run(
            [*OPENCLAW, "config", *words],
            env=environment(state_dir),
            capture_output=True,
            umask=umask,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0

    files = {path for path in state_dir.rglob("*") if path.is_file()}
    assert {path.name for path in files} >= {"openclaw.toml", "config.lock"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((state_dir / "config-history").stat().st_mode) == 0o700


def test_what_a_script_puts_into_a_variable_is_nothing(tmp_path):
    state_dir = tmp_path / "state"
    openclaw(state_dir, "config", "set", "gateway.auth.token", "s3cret-token")

    done = subprocess.run(
        [
            "sh",
            "-c",
            'TOKEN="$("$@" config get gateway.auth.token)"; echo "[$TOKEN]"',
            "sh",
            *OPENCLAW,
        ],
        env=environment(state_dir),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"
    assert "need no token" in done.stderr
