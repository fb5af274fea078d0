"""The device store: whether it is sound, what waits in it, and what nobody uses any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from stores import pairing
from stores.checks.finding import Finding, Scene, Severity, command_in, counted, named
from stores.devices import DeviceStore, PairingLimits
from stores.errors import StoreError
from stores.files import locked
from stores.record_file import RecordFile, StoreProblem
from stores.records import DeviceBook, DeviceNote, PairedDevice, PendingRequest
from stores.verify import verify

STALE_DAYS = 90
_STALE_MS = STALE_DAYS * 86_400_000


def check(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with the store, what waits and what is stale."""
    problems = verify(scene.state_dir, modes=False)
    healable = {file.path for file in _damaged(scene)}
    for one in problems:
        yield _about(scene, one, fixable=any(one.file == str(path) for path in healable))
    store = _store(scene)
    with contextlib.suppress(StoreError):  # told of by `verify`
        store.read()
    yield from judge(scene, store.book, held=_held(scene), ttl_ms=store.limits.ttl_ms)


def _about(scene: Scene, one: StoreProblem, *, fixable: bool) -> Finding:
    place = one.file if one.path == "$" else f"{one.file} at {one.path}"
    whole = one.path == "$" and not one.file.endswith("audit.jsonl")
    fixable = fixable and whole
    otherwise = scene.command("devices verify")
    return Finding(
        id="store-damaged" if whole else "store-entry",
        severity=Severity.ERROR if whole else Severity.WARNING,
        title="A file of the device store is damaged"
        if whole
        else "An entry of the device store is not sound",
        saw=f"{place}: {one.problem} ({one.remedy})",
        command=scene.command("doctor --fix") if fixable else command_in(one.remedy, otherwise),
        fixable=fixable,
        security=one.file.endswith("audit.jsonl"),
    )


def judge(scene: Scene, book: DeviceBook, *, held: DeviceBook, ttl_ms: int) -> Iterator[Finding]:
    """Yield findings about a book; pure.

    Args:
        book: What the store makes of its files.
        held: What the files hold, with what counts for nothing.
    """
    live = [
        item
        for item in book.pending.values()
        if not pairing.expired(item, now_ms=scene.now_ms, ttl_ms=ttl_ms)
    ]
    gone = len(held.pending) - len(live)
    if gone:
        yield Finding(
            id="spent-requests",
            severity=Severity.INFO,
            title="Requests that count for nothing are still on file",
            saw=f"{counted(gone, 'request')} expired, or asking for what the device has",
            command=scene.command("doctor --fix"),
            fixable=True,
        )
    yield from _waiting(scene, book, live)
    yield from _stale(scene, book)
    yield from _duplicates(scene, book)


def _waiting(scene: Scene, book: DeviceBook, live: Sequence[PendingRequest]) -> Iterator[Finding]:
    for item in live:
        why = pairing.upgrade_of(book, item)
        if why is None:
            continue
        name = item.display_name or item.client_id or item.device_id[:12]
        yield Finding(
            id="pending-upgrade",
            severity=Severity.INFO,
            title="A paired device waits for more than it has",
            saw=f"{name} ({item.device_id[:12]}) asks for {', '.join(item.asked_scopes) or item.role}"
            f" ({why}); it works with what it has until then",
            command=scene.command(f"devices approve {item.request_id}"),
        )
    new = [item for item in live if item.device_id not in book.paired]
    if new:
        yield Finding(
            id="pending-devices",
            severity=Severity.INFO,
            title="Devices wait for approval",
            saw=f"{counted(len(new), 'device')}: {named(item.request_id for item in new)}",
            command=scene.command("devices list"),
        )


def _stale(scene: Scene, book: DeviceBook) -> Iterator[Finding]:
    old = [
        device
        for device in book.paired.values()
        if scene.now_ms - (_last_ms(device) or scene.now_ms) > _STALE_MS
    ]
    if old:
        yield Finding(
            id="stale-devices",
            severity=Severity.INFO,
            title=f"Devices were not here for {STALE_DAYS} days, and may still come in",
            saw=f"{counted(len(old), 'device')}: "
            + named(f"{_name(book, one)}, last seen {_day(_last_ms(one))}" for one in old),
            command=scene.command(f"devices prune --older-than {STALE_DAYS}d"),
            security=True,
        )


def _duplicates(scene: Scene, book: DeviceBook) -> Iterator[Finding]:
    alike: dict[tuple[str, str, str], list[PairedDevice]] = {}
    for device in book.paired.values():
        name = _name(book, device)
        if not device.device_id.startswith(name) and device.live_roles:
            key = (name, device.platform or "", ",".join(device.live_roles))
            alike.setdefault(key, []).append(device)
    for (name, _, _), devices in alike.items():
        if len(devices) > 1:
            devices.sort(key=lambda one: _last_ms(one) or 0)
            ids = ", ".join(f"{one.device_id[:12]} ({_day(_last_ms(one))})" for one in devices[:4])
            yield Finding(
                id="duplicate-devices",
                severity=Severity.INFO,
                title="Several devices have one name and one platform",
                saw=f"{len(devices)} are called {name}: {ids}; the older ones are probably the same "
                "device before it was set up anew",
                command=scene.command(f"devices show {devices[0].device_id[:12]}"),
            )


def _name(book: DeviceBook, device: PairedDevice) -> str:
    note = book.notes.get(device.device_id)
    label = note.label if note is not None else None
    return label or device.display_name or device.device_id[:12]


def _last_ms(device: PairedDevice) -> int | None:
    times = [device.last_seen_at_ms, device.approved_at_ms, device.created_at_ms]
    times += [token.last_used_at_ms for token in device.tokens.values()]
    return max((one for one in times if one), default=None)


def _day(at_ms: int | None) -> str:
    if at_ms is None:
        return "never seen"
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return "at no time there is"


def _store(scene: Scene) -> DeviceStore:
    ttl_ms = PairingLimits().ttl_ms
    if scene.loaded is not None:
        ttl_ms = scene.loaded.config.gateway.pairing.request_ttl_ms
    return DeviceStore(scene.state_dir / "devices", limits=PairingLimits(ttl_ms=ttl_ms))


def _files(scene: Scene) -> tuple[RecordFile[PendingRequest], ...]:
    at = scene.state_dir / "devices"
    pending = RecordFile(at / "pending.json", PendingRequest)
    paired = RecordFile(at / "paired.json", PairedDevice, precious=True, key_name="deviceId")
    notes = RecordFile(at / "notes.json", DeviceNote, precious=True)
    return (pending, paired, notes)  # type: ignore[return-value]  # whatever they hold, see `heal`


def _held(scene: Scene) -> DeviceBook:
    pending = _files(scene)[0]
    with contextlib.suppress(StoreError):
        pending.look()
    return DeviceBook(pending.records)


def _damaged(scene: Scene) -> Iterator[RecordFile[PendingRequest]]:
    """Yield the files that cannot be read, and of which it is known what belongs in them."""
    for file in _files(scene):
        with contextlib.suppress(StoreError):
            file.look()
            whole = any(one.path == "$" for one in file.problems)
            if whole and (file.records or not file.precious):
                yield file


def heal(scene: Scene) -> None:
    """Put damaged files right from what is known, and drop requests that count for nothing.

    What is damaged is kept beside; a file of which nothing is known is left alone.

    Raises:
        StoreError: a file cannot be locked or written.
    """
    if not (scene.state_dir / "devices").is_dir():
        return
    if any(_damaged(scene)):
        with locked(scene.state_dir / "devices" / "store.lock"):
            for file in _damaged(scene):
                file.write(file.records)
    store = _store(scene)
    store.read()
    if len(store.book.pending) != len(_held(scene).pending) or _has_expired(scene, store):
        store.apply((), now_ms=scene.now_ms)


def _has_expired(scene: Scene, store: DeviceStore) -> bool:
    ttl_ms = store.limits.ttl_ms
    return any(
        pairing.expired(item, now_ms=scene.now_ms, ttl_ms=ttl_ms)
        for item in store.book.pending.values()
    )
