"""Network namespaces as a container engine makes them: a host, a container, a bridge between them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from tests.scenarios.programs import eventually

T = TypeVar("T")

#: What the container engine gives its bridge and its first container.
HOST_ADDRESS, BOX_ADDRESS = "172.18.0.1", "172.18.0.2"

_CLONE_NEWNET = 0x40000000


@frozen
class Namespace:
    """A network namespace; it lives as long as the process that holds it."""

    pid: int

    @property
    def words(self) -> tuple[str, ...]:
        """What goes in front of a command that is to run inside."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net", "--")

    def run(self, *words: str) -> None:
        """Run a command inside; one that fails fails the test."""
        subprocess.run([*self.words, *words], check=True, capture_output=True)

    def call(self, work: Callable[[], T]) -> T:
        """Call a function whose sockets are to be inside, in a thread that moved there."""
        outcome: list[T] = []
        failure: list[BaseException] = []

        def moved() -> None:
            try:
                _enter(self.pid)
                outcome.append(work())
            except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
                failure.append(error)

        thread = threading.Thread(target=moved)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]


def _enter(pid: int) -> None:
    handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # os.setns is newer than the oldest Python served
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(handle)


@contextmanager
def new_namespace() -> Iterator[Namespace]:
    """Make a network namespace with loopback up; it is gone when the body ends, however it ends."""
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as holder:
        try:
            own = os.readlink("/proc/self/ns/net")
            there = Path(f"/proc/{holder.pid}/ns/net")
            eventually(lambda: holder.poll() is None and os.readlink(there) != own)
            namespace = Namespace(holder.pid)
            namespace.run("ip", "link", "set", "lo", "up")
            yield namespace
        finally:
            holder.kill()


@contextmanager
def container_network() -> Iterator[tuple[Namespace, Namespace]]:
    """Join a host and a container by a bridge address each; yields both."""
    with ExitStack() as stack:
        host, box = (stack.enter_context(new_namespace()) for _ in range(2))
        host.run(
            *("ip", "link", "add", "bridge0", "type", "veth"),
            *("peer", "name", "eth0", "netns", str(box.pid)),
        )
        for namespace, link, address in (
            (host, "bridge0", HOST_ADDRESS),
            (box, "eth0", BOX_ADDRESS),
        ):
            # no address that comes a second later by itself: a browser takes that for another network
            namespace.run("ip", "link", "set", link, "addrgenmode", "none")
            namespace.run("ip", "address", "add", f"{address}/16", "dev", link)
            namespace.run("ip", "link", "set", link, "up")
        box.run("ip", "route", "add", "default", "via", HOST_ADDRESS)
        yield host, box
