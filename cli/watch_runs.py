"""The programs of `openclaw devices watch --run`: one at a time, beside the watch, which waits for none."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from attrs import define, field, frozen

from cli.output import note, printable

#: How long a program may take, s.
WITHIN_S = 30.0


@frozen
class Run:
    """A program that is to be run for a request.

    Args:
        about: The request; a run whose request waits no more is left out.
        text: What the program reads on its standard input.
        env: What its environment has besides ours.
    """

    about: str
    text: str
    env: Mapping[str, str]


@define
class Runs:
    """Runs of one program; what it does wrong is said, and ends nothing.

    What it writes goes to standard error: standard output has the lines of the watch.
    """

    words: Sequence[str]
    _waiting: deque[Run] = field(factory=deque)
    _running: subprocess.Popen[bytes] | None = None
    _until_s: float = 0.0

    def add(self, run: Run) -> None:
        """Let a program be run as soon as those before it have ended."""
        if self.words:
            self._waiting.append(run)

    def turn(self, waiting: Collection[str]) -> None:
        """See to the program that runs and start the next one; never waits.

        Args:
            waiting: The requests that still wait.
        """
        if self._running is not None and not self._has_ended(self._running):
            return
        self._running = None
        while self._waiting and self._running is None:
            run = self._waiting.popleft()
            if run.about in waiting:
                self._start(run)

    def end(self) -> None:
        """End the program that runs, and those that it started."""
        if self._running is not None:
            _kill(self._running)
            self._running = None

    def _start(self, run: Run) -> None:
        with tempfile.TemporaryFile() as text:  # a pipe would fill up where nobody reads
            text.write(run.text.encode())
            text.seek(0)
            try:
                self._running = subprocess.Popen(
                    self.words,
                    stdin=text,
                    stdout=subprocess.DEVNULL if sys.stderr is None else sys.stderr.fileno(),
                    env=os.environ | dict(run.env),
                    start_new_session=True,
                )
            except OSError as error:
                self._say(f"cannot be run: {error.strerror}")
        self._until_s = time.monotonic() + WITHIN_S

    def _has_ended(self, running: subprocess.Popen[bytes]) -> bool:
        code = running.poll()
        if code is None and time.monotonic() < self._until_s:
            return False
        if code is None:
            _kill(running)
            self._say(f"did not end within {WITHIN_S:.0f} s")
        elif code:
            self._say(f"ended with {code}")
        return True

    def _say(self, trouble: str) -> None:
        note(f"note: {printable(self.words[0])} {trouble}; still watching")


def _kill(running: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
