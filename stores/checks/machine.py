"""What the gateway needs of its machine: the right time, room on the disk, a certificate that holds."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from stores.certificate import (
    certificate_files,
    check_key,
    day_of,
    key_is_exposed,
    read_certificate,
)
from stores.checks.finding import Finding, Scene, Severity, command_in, counted, named
from stores.checks.modes import entries
from stores.errors import StoreError, UserFacingError
from stores.refusal_ring import Entry, read_refusals, ring_file
from stores.running import Standing

#: A device's proof is refused when its clock is off by more than two minutes; so do files.
FUTURE_MS = 120_000
#: Older refusals say little about the clock of today.
_RECENT_MS = 86_400_000
_STALE_PROOF = "DEVICE_AUTH_SIGNATURE_EXPIRED"

#: Below this nothing can be relied upon to be written; a log alone may take the first.
LITTLE_BYTES = 256 << 20
LEAST_BYTES = 32 << 20
LEAST_INODES = 100

_NEAR_END_DAYS = 30
_DAY_MS = 86_400_000


def check(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with the gateway's process, clock, disk and certificate."""
    yield from _process(scene)
    yield from _clock(scene)
    yield from _disk(scene)
    yield from _certificate(scene)


def _process(scene: Scene) -> Iterator[Finding]:
    running = scene.running
    if running is not None and running.standing is Standing.STOPPED:
        yield Finding(
            id="gateway-stopped",
            severity=Severity.ERROR,
            title="The gateway's process is stopped by a signal, so it answers nobody",
            saw=f"process {running.pid} is there and does not run",
            command=f"kill -CONT {running.pid}",
        )


def _clock(scene: Scene) -> Iterator[Finding]:
    try:
        refusals = read_refusals(ring_file(scene.paths.logs_dir))
    except StoreError:
        refusals = []
    yield from refused_for_time(refusals, now_ms=scene.now_ms)
    ahead = [one.path for one in entries(scene) if _mtime_ms(one.path) > scene.now_ms + FUTURE_MS]
    if ahead:
        yield Finding(
            id="clock-behind",
            severity=Severity.WARNING,
            title="The clock of this machine was set back, or is behind",
            saw=f"it is {_time(scene.now_ms)} here, and {named(ahead)} changed later than that",
            command="timedatectl status",
        )


def _mtime_ms(path: os.PathLike[str]) -> int:
    try:
        return os.lstat(path).st_mtime_ns // 1_000_000
    except OSError:
        return 0


def refused_for_time(refusals: Sequence[Entry], *, now_ms: int) -> Iterator[Finding]:
    """Yield whose clock is wrong, as far as refused proofs tell: that of one device, or ours."""
    since = now_ms - _RECENT_MS
    late = [
        one
        for one in refusals
        if one.get("code") == _STALE_PROOF and _ms(one.get("lastTs")) > since
    ]
    devices = {str(one.get("deviceId") or one.get("peer") or one["connId"])[:12] for one in late}
    if not devices:
        return
    here = len(devices) > 1
    yield Finding(
        id="clock-differs",
        severity=Severity.WARNING,
        title="The clock of this machine is wrong"
        if here
        else "The clock of a device, or of this machine, is wrong",
        saw=f"in the last day {counted(len(devices), 'device')} ({named(sorted(devices))}) "
        f"signed at another time than it was here; it is {_time(now_ms)}",
        command="timedatectl status",
    )


def _ms(text: object) -> int:
    try:
        return round(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _disk(scene: Scene) -> Iterator[Finding]:
    try:
        found = os.statvfs(scene.state_dir)
    except OSError:
        return
    free = found.f_bavail * found.f_frsize
    yield from judge_disk(
        str(scene.state_dir),
        free_bytes=free,
        free_inodes=found.f_favail if found.f_files else None,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def judge_disk(
    folder: str, *, free_bytes: int, free_inodes: int | None, read_only: bool
) -> Iterator[Finding]:
    """Yield whether the gateway can still write; pure."""
    name = shlex.quote(folder)
    if read_only:
        yield Finding(
            id="disk-read-only",
            severity=Severity.ERROR,
            title="Nothing can be written to the state directory",
            saw=f"{folder} is mounted read-only",
            command=f"findmnt -T {name}",
        )
    elif free_inodes is not None and free_inodes < LEAST_INODES:
        yield Finding(
            id="disk-full",
            severity=Severity.ERROR,
            title="There is no room for more files",
            saw=f"{counted(free_inodes, 'file')} more fit on the file system of {folder}",
            command=f"df -i {name}",
        )
    elif free_bytes < LITTLE_BYTES:
        yield Finding(
            id="disk-full",
            severity=Severity.ERROR if free_bytes < LEAST_BYTES else Severity.WARNING,
            title="The disk is full, or nearly so",
            saw=f"{free_bytes >> 20} MiB are free on the file system of {folder}",
            command=f"df -h {name}",
        )


def _certificate(scene: Scene) -> Iterator[Finding]:
    if scene.loaded is None or not scene.loaded.config.gateway.tls.enabled:
        return
    try:
        files = certificate_files(scene.loaded, scene.env, scene.state_dir)
        if files.own and not files.cert.exists():
            return  # made by the next start
        check_key(files)
        end_ms = read_certificate(files).not_after_ms
    except UserFacingError as error:
        yield Finding(
            id="certificate-unusable",
            severity=Severity.ERROR,
            title="The gateway's certificate cannot be used",
            saw=str(error),
            command=command_in(error.remedy, scene.command("config get gateway.tls")),
            security=True,
        )
        return
    if key_is_exposed(files):
        yield Finding(
            id="certificate-key-open",
            severity=Severity.ERROR,
            title="Every user of this machine can read the certificate's private key",
            saw=f"{files.key} is readable by all",
            command=shlex.join(["chmod", "600", str(files.key)]),
            security=True,
        )
    yield from judge_end(scene, str(files.cert), end_ms, own=files.own)


def judge_end(scene: Scene, cert: str, end_ms: int, *, own: bool) -> Iterator[Finding]:
    """Yield whether a certificate has ended or is about to."""
    left = (end_ms - scene.now_ms) // _DAY_MS
    if left >= _NEAR_END_DAYS:
        return
    ended = end_ms <= scene.now_ms
    renew = scene.command("gateway restart") if own else scene.command("gateway reload")
    way = "a start of the gateway makes a new one" if own else "put a new one there, then reload"
    yield Finding(
        id="certificate-ends",
        severity=Severity.ERROR if ended else Severity.WARNING,
        title="The gateway's certificate has ended" if ended else "The certificate ends soon",
        saw=f"{cert} {'ended' if ended else 'ends'} on {day_of(end_ms)}; {way}",
        command=renew,
        security=True,
    )
