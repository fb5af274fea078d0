"""A line on the terminal for what takes longer than a second; nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: What is quicker than this needs no word.
AFTER_S = 1.0


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """Say on standard error what takes so long, if that is a terminal, and take it back."""
    stream = sys.stderr
    if stream is None or not stream.isatty():
        yield
        return
    import threading  # late: most of the time nobody looks

    shown = threading.Event()

    def show() -> None:
        with suppress(OSError, ValueError):
            stream.write(f"{doing} …")
            stream.flush()
            shown.set()

    timer = threading.Timer(AFTER_S, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown.is_set():
            with suppress(OSError, ValueError):
                # back to the first column, and the line emptied
                stream.write("\r\x1b[K")
                stream.flush()
