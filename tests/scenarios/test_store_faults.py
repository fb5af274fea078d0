"""Disks, mounts and owners that fail the device store: nobody known is kept out, nothing is lost.

One gateway of another user, whose store lies on a small disk of its own, meets every fault in turn
and is never restarted: each test leaves it as well as it found it.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen

from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import (
    Finished,
    Gateway,
    eventually,
    openclaw,
    running_gateway,
)

UID = 54_322

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real("another-user", "namespaces"),
]


@define(eq=False)
class Box:
    """A gateway of a user of its own, in a mount namespace of its own."""

    gateway: Gateway
    holder: int
    known: dict[str, Any]

    def openclaw(self, *words: str) -> Finished:
        """Run a command as the gateway's user, in its namespace."""
        gateway = self.gateway
        return openclaw(gateway.state_dir, *words, port=gateway.port, inside=words_of(self.holder))

    def root(self, script: str) -> None:
        """Do something to the store as root, in its namespace."""
        words = ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "--", "sh", "-euc"]
        subprocess.run(
            [*words, f"cd {self.gateway.devices} && {{ {script} ; }}"],
            check=True,
            capture_output=True,
        )

    def ready(self) -> bool:
        """Ask ``/readyz``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200

    def problems(self) -> str:
        """Return the problems that ``health`` tells the owner."""
        done = self.openclaw("gateway", "call", "health", "--json")
        assert done.code == 0, done
        return json.dumps(done.json["problems"])

    def kept(self) -> dict[str, Any]:
        """Return the name of every device, paired or pending, by id."""
        done = self.openclaw("devices", "list", "--json")
        assert done.code == 0, done
        assert done.json["source"] == "gateway"
        items = [*done.json["pending"], *done.json["paired"]]
        return {item["deviceId"]: item.get("label") for item in items}


def words_of(holder: int) -> tuple[str, ...]:
    """Return what goes in front of a program of the user inside."""
    user = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    return ("nsenter", f"--mount=/proc/{holder}/ns/mnt", "--", *user)


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """Run the gateway, with one device that is known and has a name."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    devices = home / ".openclaw" / "devices"
    devices.mkdir(parents=True, mode=0o700)
    home.chmod(0o755)
    for folder in (home, home / ".openclaw", devices):
        os.chown(folder, UID, UID)
    home.joinpath(".openclaw").chmod(0o700)
    with subprocess.Popen(["unshare", "--mount", "sleep", "infinity"]) as holder:
        own = os.readlink("/proc/self/ns/mnt")
        there = f"/proc/{holder.pid}/ns/mnt"
        try:
            eventually(lambda: os.readlink(there) != own)
            options = f"size=512k,uid={UID},gid={UID},mode=700"
            inside = ["nsenter", f"--mount={there}", "--"]
            mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(devices)]
            subprocess.run([*inside, *mount], check=True)
            with running_gateway(devices.parent, inside=words_of(holder.pid)) as gateway:
                box = Box(gateway, holder.pid, stranger(gateway.token))
                code = knock(gateway.port, **box.known).request_id
                assert box.openclaw("devices", "approve", code).code == 0
                device_id = box.known["key"].device_id
                assert box.openclaw("devices", "rename", device_id, "desk").code == 0
                yield box
        finally:
            holder.kill()
    shutil.rmtree(home)


@frozen
class Fault:
    """What goes wrong with a file of the store, and how somebody puts it right; shell, as root.

    Args:
        says: What the operator reads: words of the reason, and of the command that helps.
        seen: Whether it is met by looking; else by the first write that fails.
    """

    breaks: str
    mends: str
    says: tuple[str, ...]
    seen: bool = True


DIRECTORY = Fault(
    "mv {file} aside; mkdir {file}",
    "rmdir {file}; mv aside {file}",
    ("is not a regular file", "mv "),
)
LINK = Fault(
    "mv {file} aside; ln -s aside {file}",
    "rm {file}; mv aside {file}",
    ("is a symbolic link", "cp --remove-destination"),
)
FOREIGN = Fault(
    "cp -p {file} copy; chown root:root copy; mv copy {file}",
    f"chown {UID}:{UID} {{file}}",
    ("belongs to user root", "sudo chown -h "),
)
BUSY = Fault(
    "mount --bind {file} {file}",
    "umount {file}",
    ("Device or resource busy", "findmnt "),
    seen=False,
)
#: Other files of the folder do not depend on which file of the store is looked at.
FOLDER = [
    pytest.param(
        Fault("mount -o remount,ro .", "mount -o remount,rw .", ("Read-only file system", "findmnt -T")),
        id="read-only-mount",
    ),
    pytest.param(
        Fault("chmod 500 .", "chmod 700 .", ("Permission denied", "chmod u+rwX")),
        id="folder-without-write-permission",
    ),
    pytest.param(
        Fault(
            "head -c 900000 /dev/zero > full || true",
            "rm full",
            ("No space left on device", "df -h"),
            seen=False,
        ),
        id="full-disk",
    ),
]  # fmt: skip
FILES = ("pending.json", "paired.json", "notes.json")
EACH = [
    pytest.param(fault, file, id=f"{name}-{file.partition('.')[0]}")
    for name, fault in (
        ("directory", DIRECTORY),
        ("link", LINK),
        ("foreign-owner", FOREIGN),
        ("busy", BUSY),
    )
    for file in FILES
]


def goes_through(box: Box, fault: Fault, file: str) -> None:
    """Break, see who is served and what is said, mend, and see that all is as if nothing had been."""
    newcomer = stranger(box.gateway.token)
    code = knock(box.gateway.port, **newcomer).request_id
    before = box.kept()
    box.root(fault.breaks.format(file=file))
    try:
        if fault.seen:
            eventually(lambda: not box.ready())
        roads = [box.openclaw("devices", "approve", code, *road) for road in ((), ("--offline",))]
        still_ready, problems = box.ready(), box.problems()
        health = box.openclaw("health")
        known = knock(box.gateway.port, **box.known)
        late = knock(box.gateway.port, **stranger(box.gateway.token)) if fault.seen else None
        shown = box.kept()
        aside = box.openclaw("devices", "list", "--offline", "--json")
    finally:
        box.root(fault.mends.format(file=file))

    def as_if_nothing_had_been() -> bool:
        # between the two halves of a mending there is no such file at all, which is seen as well
        return box.ready() and box.kept() == before

    eventually(as_if_nothing_had_been)
    box.openclaw("devices", "approve", code)

    for done in roads:
        assert done.code == 1, done
    told = roads if fault.seen else roads[:1]  # by then a part of it may be decided
    for done in told:
        assert [words for words in fault.says if words not in done.err] == [], done.err
    assert not still_ready
    assert [words for words in fault.says if words not in problems] == []
    assert [words for words in fault.says if words not in health.out] == []
    assert known.admitted
    if late is not None:
        assert (late.error["code"], late.error["retryable"]) == ("UNAVAILABLE", True)
        assert late.details["remedy"]["command"] == "openclaw health"
        assert str(box.gateway.state_dir) not in json.dumps(late.response)
    assert shown == before
    if file and fault.seen:
        assert fault.says[0] in aside.err
    if file == "pending.json" and fault.seen:  # there is no copy: who waits is not known
        assert aside.code == 1
    else:
        assert box.known["key"].device_id in {item["deviceId"] for item in aside.json["paired"]}
    assert box.problems() == "[]"
    assert knock(box.gateway.port, **newcomer).admitted


@pytest.mark.parametrize(("fault", "file"), EACH)
def test_a_file_that_cannot_be_used_stops_decisions_and_nothing_else(
    box: Box, fault: Fault, file: str
) -> None:
    goes_through(box, fault, file)


@pytest.mark.parametrize("fault", FOLDER)
def test_a_folder_that_cannot_be_written_stops_decisions_and_nothing_else(
    box: Box, fault: Fault
) -> None:
    goes_through(box, fault, "")
