"""Check the device store against itself and against its audit trail; nothing is written.

Rule: no finding holds a secret, and every one says what to do about it.
"""

from __future__ import annotations

import os
import shlex
import stat as stat_bits
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen

from stores.errors import StoreError
from stores.files import check_writable, parse_object, read_file
from stores.keys import decode_public_key, device_id_of
from stores.owner import modes_mean_nothing, user_name
from stores.record_file import RecordFile, StoreProblem
from stores.records import DeviceBook, DeviceToken, PairedDevice, PendingRequest, Role
from stores.scopes import missing
from stores.sound_records import notes_file
from stores.trail import entries_of, parts_of

T = TypeVar("T")

#: A line has the very time of what it tells; other programs' clocks are read a moment later.
_SAME_TIME_MS = 2_000
_KEY_BYTES = 32

#: Devices without a line in the trail that are named one by one; more are one finding.
_EACH_UP_TO = 5

#: What lets a device in, and what issues a token.
_ENTRIES = frozenset({"device.approved", "device.redeemed"})
_ISSUES = _ENTRIES | {"device.rotated"}


def verify(state_dir: Path, *, modes: bool = True) -> list[StoreProblem]:
    """Return what is wrong with the device store of a state directory; its owner looks.

    Args:
        modes: Whether to look at who else may read the files, too.
    """
    directory = state_dir / "devices"
    found = [*(_modes(state_dir) if modes else ()), *_loose_files(directory)]
    pending = RecordFile(directory / "pending.json", PendingRequest, _request_fault)
    paired = RecordFile(directory / "paired.json", PairedDevice, _device_fault, precious=True)
    notes = notes_file(directory)
    found += [*_looked_at(pending), *_looked_at(paired), *_looked_at(notes)]
    try:
        check_writable(directory)
    except StoreError as error:
        found.append(StoreProblem(str(directory), "$", error.problem, error.remedy or ""))
    book = DeviceBook(pending.records, paired.records, notes.records)
    broken = frozenset(problem.path.removeprefix("$.") for problem in paired.problems)
    found += _Consistency(directory, book, broken).problems()
    found += _Trail(directory, book).problems()
    return found


def _looked_at(file: RecordFile[Any]) -> list[StoreProblem]:
    try:
        file.look()
    except StoreError as error:
        return [StoreProblem(str(file.path), "$", error.problem, error.remedy or "")]
    return list(file.problems)


def _modes(state_dir: Path) -> Iterator[StoreProblem]:
    """Yield files and folders that others may look into, or that belong to somebody else."""
    try:
        owner = os.stat(state_dir)
    except OSError:
        return
    checked = not modes_mean_nothing(state_dir)
    directory = state_dir / "devices"
    inside = sorted(directory.iterdir()) if _is_folder(directory) else []
    for path in (state_dir, directory, *inside):
        try:
            # the state directory may be reached through a link of its owner's own
            found = os.stat(path) if path == state_dir else os.lstat(path)
        except OSError:
            continue
        name = shlex.quote(str(path))
        if stat_bits.S_ISLNK(found.st_mode):
            yield StoreProblem(
                str(path),
                "$",
                f"it is a symbolic link to {os.path.realpath(path)}",
                f"put what it leads to in its place, or name it: see `ls -ld {name}`",
            )
            continue
        right = 0o700 if stat_bits.S_ISDIR(found.st_mode) else 0o600
        mode = stat_bits.S_IMODE(found.st_mode)
        if checked and mode & 0o077:
            yield StoreProblem(
                str(path),
                "$",
                f"its mode is {mode:04o}, so that others may look into it",
                f"close it with `chmod {right:o} {name}`",
            )
        if found.st_uid != owner.st_uid:
            yield StoreProblem(
                str(path),
                "$",
                f"it belongs to user {user_name(found.st_uid)}, and the state directory to "
                f"{user_name(owner.st_uid)}",
                f"give it back with `sudo chown {owner.st_uid}:{owner.st_gid} {name}`",
            )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir() and os.access(path, os.R_OK | os.X_OK)
    except OSError:
        return False


def _loose_files(directory: Path) -> Iterator[StoreProblem]:
    """Yield what is wrong with the files that hold no device records."""
    key, invitations = directory / "store.key", directory / "bootstrap.json"
    try:
        found = read_file(key)
        if found is not None and len(found[0]) != _KEY_BYTES:
            yield StoreProblem(
                str(key),
                "$",
                f"it holds {len(found[0])} bytes instead of {_KEY_BYTES}",
                f"remove it, and waiting devices get new codes: `rm {shlex.quote(str(key))}`",
            )
    except StoreError as error:
        yield StoreProblem(str(key), "$", error.problem, error.remedy or "")
    try:
        data = read_file(invitations)
        records = {} if data is None else parse_object(invitations, data[0])
    except StoreError as error:
        yield StoreProblem(str(invitations), "$", error.problem, error.remedy or "")
        return
    for at, (digest, record) in enumerate(records.items()):
        hashed = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        if not hashed or not isinstance(record, dict):
            # the key could be an invitation in clear, so it is counted and not shown
            yield StoreProblem(
                str(invitations),
                f"$[{at}]",
                "it is no invitation under the sha256 of its secret",
                "delete that entry and invite again",
            )


def _request_fault(key: str, record: PendingRequest) -> str | None:
    if key != record.request_id:
        return "its requestId is not the id it is filed under"
    return _key_fault(record.public_key, record.device_id)


def _device_fault(key: str, record: PairedDevice) -> str | None:
    if key != record.device_id:
        return "its deviceId is not the id it is filed under"
    return _key_fault(record.public_key, record.device_id)


def _key_fault(public_key: str, device_id: str) -> str | None:
    raw = decode_public_key(public_key)
    if raw is None or device_id_of(raw) != device_id:
        return "publicKey does not hash to deviceId"
    return None


@frozen
class _Consistency:
    """The records against each other; ``broken`` has the ids of those that cannot be read."""

    directory: Path
    book: DeviceBook
    broken: frozenset[str]

    def problems(self) -> Iterator[StoreProblem]:
        yield from self._pending()
        for device in self.book.paired.values():
            for role, token in device.tokens.items():
                yield from self._token(device, role, token)
        yield from self._duplicates()
        yield from self._notes()

    def _problem(self, file: str, path: str, problem: str, remedy: str) -> StoreProblem:
        return StoreProblem(str(self.directory / file), path, problem, remedy)

    def _pending(self) -> Iterator[StoreProblem]:
        for key, item in self.book.pending.items():
            known = self.book.paired.get(item.device_id)
            if item.is_repair and known is None:
                why = "it asks for more for a device that is not paired"
            elif self.book.blocked(item.device_id):
                why = "its device is blocked"
            else:
                continue
            remedy = "nothing to do: it counts for nothing, and the next decision drops it"
            yield self._problem("pending.json", f"$.{key}", why, remedy)

    def _token(self, device: PairedDevice, role: str, token: DeviceToken) -> Iterator[StoreProblem]:
        path, short = f"$.{device.device_id}.tokens.{role}", device.device_id[:12]
        anew = f"issue it anew with `openclaw devices rotate {short} --role {role}`"
        if token.role != role:
            yield self._problem(
                "paired.json",
                path,
                "it says that it is for another role than it is filed under",
                anew,
            )
        if not token.live:
            return
        if role not in device.named_roles:
            yield self._problem(
                "paired.json",
                path,
                "it is for a role the device was never approved for; it opens nothing",
                f"end it with `openclaw devices revoke {short} --role {role}`",
            )
        baseline = device.baseline if role == Role.OPERATOR else ()
        beyond = missing(baseline, token.scopes)
        if beyond:
            yield self._problem(
                "paired.json",
                path,
                f"it names scopes that were not approved: {', '.join(beyond)}; they count for nothing",
                anew,
            )

    def _duplicates(self) -> Iterator[StoreProblem]:
        first = dict[str, str]()
        for device in self.book.paired.values():
            for role, token in device.tokens.items():
                if not token.token:
                    continue
                name = f"{device.device_id[:12]} ({role})"
                if first.setdefault(token.token, name) != name:
                    yield self._problem(
                        "paired.json",
                        f"$.{device.device_id}.tokens.{role}",
                        f"it has the same value as the token of {first[token.token]}",
                        "issue both anew with "
                        f"`openclaw devices rotate {device.device_id[:12]} --role {role}` and the other",
                    )

    def _notes(self) -> Iterator[StoreProblem]:
        known = {item.device_id for item in self.book.pending.values()}
        known |= self.book.paired.keys() | self.broken
        for device_id, note in self.book.notes.items():
            if device_id not in known and not note.blocked:
                yield self._problem(
                    "notes.json",
                    f"$.{device_id}",
                    "it is about a device that is neither paired nor waiting",
                    "delete that entry; it counts for nothing",
                )


@define
class _Trail:
    """The records against what the audit trail says happened."""

    directory: Path
    book: DeviceBook
    _since_ms: int | None = None
    _told: set[str] = field(factory=set)
    _last: dict[str, str] = field(factory=dict)
    _ended: dict[tuple[str, str], bool] = field(factory=dict)
    _issued: dict[str, list[int]] = field(factory=dict)

    @property
    def _path(self) -> Path:
        return self.directory / "audit.jsonl"

    def problems(self) -> Iterator[StoreProblem]:
        if not self.book.paired:
            return
        for entry in entries_of(self._path):
            self._take(entry)
        untold = list[PairedDevice]()
        for device in self.book.paired.values():
            if self._last.get(device.device_id) == "device.removed":
                problem = "the device was removed, and its record is there again"
                yield self._of(device, problem)
            elif device.device_id not in self._told and not self._before(device.approved_at_ms):
                untold.append(device)
            else:
                yield from self._tokens(device)
        yield from self._all_untold(untold)

    def _take(self, entry: Mapping[str, Any]) -> None:
        event, device_id, role = (entry.get(key) for key in ("event", "deviceId", "role"))
        at_ms = _ms_of(entry.get("ts"))
        if self._since_ms is None and at_ms is not None:
            self._since_ms = at_ms
        if not (isinstance(event, str) and isinstance(device_id, str)):
            return
        if event in _ENTRIES:
            self._told.add(device_id)
        if event in _ENTRIES or event == "device.removed":
            self._last[device_id] = event
        if event in _ISSUES:
            self._issued.setdefault(device_id, []).append(at_ms or 0)
            for key in [key for key in self._ended if key[0] == device_id]:
                if event != "device.rotated" or key[1] == role:
                    self._ended[key] = False
        if event == "device.revoked" and isinstance(role, str):
            self._ended[device_id, role] = True

    def _all_untold(self, devices: Sequence[PairedDevice]) -> Iterator[StoreProblem]:
        """Yield the devices that nobody approved as far as the trail goes; of many, one for all.

        A store that came from another gateway has no trail: a line for each of its devices would
        bury what else is wrong.
        """
        if len(devices) <= _EACH_UP_TO:
            for device in devices:
                yield self._of(
                    device,
                    "the device is paired, and no line says who approved it (another program may have)",
                )
            return
        first = ", ".join(device.device_id[:12] for device in devices[:_EACH_UP_TO])
        yield StoreProblem(
            str(self._path),
            "$",
            f"{len(devices)} devices are paired, and no line says who approved them: {first}, … "
            "(another program may have, or they are older than this trail)",
            "look through them with `openclaw devices list`; "
            "what you did not let in, `openclaw devices remove ID`",
        )

    def _of(self, device: PairedDevice, problem: str) -> StoreProblem:
        short = device.device_id[:12]
        remedy = f"look at it with `openclaw devices show {short}`"
        remedy += f"; if you did not let it in, `openclaw devices remove {short}`"
        return StoreProblem(str(self._path), f"$.{device.device_id}", problem, remedy)

    def _tokens(self, device: PairedDevice) -> Iterator[StoreProblem]:
        short = device.device_id[:12]
        for role, token in device.tokens.items():
            if not token.live:
                continue
            again = f"`openclaw devices revoke {short} --role {role}`"
            at_ms = token.issued_at_ms
            lines = self._issued.get(device.device_id, [])
            if self._ended.get((device.device_id, role)):
                problem = f"its {role} token was revoked, and works again"
                remedy = f"end it once more with {again}"
            elif not self._before(at_ms) and not any(
                abs(at_ms - line_ms) <= _SAME_TIME_MS for line_ms in lines
            ):
                problem = f"its {role} token was issued anew, and no line says by whom"
                remedy = f"if you do not know why, end it with {again}"
            else:
                continue
            yield StoreProblem(
                str(self._path), f"$.{device.device_id}.tokens.{role}", problem, remedy
            )

    def _before(self, at_ms: int) -> bool:
        """Tell whether something is older than a trail whose beginning was put away for good."""
        cut = parts_of(self._path)[0].exists()
        return cut and self._since_ms is not None and at_ms < self._since_ms


def _ms_of(text: object) -> int | None:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)  # type: ignore[arg-type]  # refused below
    except (TypeError, ValueError, OverflowError):
        return None
