"""How long a command takes, less what other programs of the machine took from it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

from tests.patience import Stopwatch
from tests.scenarios.programs import OPENCLAW, Finished, Gateway, environment


def timed(
    gateway: Gateway, *words: str, env: Mapping[str, str] | None = None
) -> tuple[Finished, float]:
    """Run a command of a gateway's machine and user; see `timed_openclaw`.

    What the gateway was held up meanwhile is taken off too: the command waits for it.
    """
    named = {"OPENCLAW_GATEWAY_PORT": str(gateway.port)} | dict(env or {})
    watch = Stopwatch(gateway.process.pid)
    return timed_openclaw(gateway.state_dir, *words, env=named, watch=watch)


def timed_openclaw(
    state_dir: Path,
    *words: str,
    env: Mapping[str, str],
    timeout_s: float = 30.0,
    watch: Stopwatch | None = None,
) -> tuple[Finished, float]:
    """Run a command to its end; return what it did and the time it took by itself, s.

    What is promised in seconds is promised on a machine that is not busy with something else.
    """
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        watch = watch or Stopwatch()
        process = subprocess.Popen(
            [*OPENCLAW, *words],
            env=environment(state_dir) | dict(env),
            cwd=state_dir.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        killing = threading.Timer(timeout_s, process.kill)
        killing.start()
        # Not reaped yet: what the kernel counted of a process goes with it.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        took_s = watch.read_s(last_of=process.pid)
        killing.cancel()
        code = process.wait()
        out.seek(0)
        err.seek(0)
        return Finished(code, out.read(), err.read()), took_s
