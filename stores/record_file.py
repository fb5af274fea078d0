"""One JSON file of records keyed by id: read when its stamp moved, rewritten without losing any.

A file that is not a JSON object, or a record that is not what it should be, is never taken for
empty: what was known keeps working, what is broken is kept aside and reported.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from stores import codec, entries
from stores.errors import CorruptStoreError, NotAFileError, StoreError
from stores.files import (
    Staged,
    Stamp,
    read_file,
    replace_file,
    stage_file,
    stamp,
    sweep_staged,
)
from stores.unusable import give_up_command, put_back_command

T = TypeVar("T")

#: A file changed less than this before it was read may change again without its stamp moving:
#: file times are as coarse as the kernel's tick, and the inode of a replaced file is used again.
SETTLED_NS = 100_000_000


@frozen
class StoreProblem:
    """A fault in a store file: ``path`` is the JSON path within ``file``."""

    file: str
    path: str
    problem: str
    remedy: str


@frozen
class _Entry(Generic[T]):
    """An entry as the file has it, and its record; with a fault, at most what stands in for one."""

    text: bytes
    record: T | None
    fault: str | None = None


@frozen
class StagedRecords(Generic[T]):
    """A new version of a record file that only waits for its rename."""

    staged: Staged
    data: bytes
    records: Mapping[str, T]
    entries: dict[str, _Entry[T]]


@define(eq=False)
class RecordFile(Generic[T]):
    """The file, its records, and what is wrong with it.

    Args:
        check: Returns what is wrong with a well-formed record, or None.
        stand_in: Returns what counts in place of an entry, parsed JSON, that is no record, or None.
        meanwhile: What a stand-in means, for the one who is to repair the entry.
        precious: Its records cannot be asked for again: a spare copy is kept, and a broken file
            without one is not overwritten.
        key_name: The field that repeats the key.
    """

    path: Path
    kind: type[T]
    check: Callable[[str, T], str | None] = lambda _key, _record: None
    stand_in: Callable[[Any], T | None] = lambda _value: None
    meanwhile: str = ""
    precious: bool = False
    key_name: str | None = None
    records: Mapping[str, T] = field(factory=dict)
    problems: tuple[StoreProblem, ...] = ()
    _entries: dict[str, _Entry[T]] = field(factory=dict)
    _stamp: Stamp | None = None
    _digest: int | None = None
    _settled: bool = False
    _unreadable: bool = False
    _known: bool = False

    @property
    def known(self) -> bool:
        """Whether the file, or its copy, was ever read."""
        return self._known

    @property
    def lost(self) -> bool:
        """Whether the file cannot be read and what it holds was never known."""
        return self.precious and not self._known

    @property
    def spare(self) -> Path:
        """Where the copy of the last good version is."""
        return self.path.with_name(f"{self.path.name}.bak")

    def look(self) -> bool:
        """Read the file again if its stamp moved; tell whether its records are others now.

        Raises:
            StoreError: the file exists and cannot be read at all; what was known stays, and where
                nothing was, what the spare copy holds.
        """
        before = self.records
        try:
            if self._settled and stamp(self.path) == self._stamp:
                return False
            found = read_file(self.path)
        except StoreError as error:
            self._do_without(error)
            raise
        if found is None:
            self._take({}, None)
            self._digest, self._settled = None, True
            return self.records is not before
        data, self._stamp = found
        self._settled = abs(time.time_ns() - self._stamp.mtime_ns) > SETTLED_NS
        digest = hash(data)
        if digest != self._digest:
            self._digest = digest
            try:
                self._take(self._parse(self.path, data), self._stamp)
            except CorruptStoreError as error:
                self._fall_back(error)
        return self.records is not before

    def _do_without(self, error: StoreError) -> None:
        """Go on with what was known, else with the spare copy, until the file can be read again."""
        spare = self._spare_entries() if self.precious else None
        if not self.records and spare is not None:
            self._take(spare, None)
        self._digest, self._stamp, self._settled = None, None, False
        if spare is not None and isinstance(error, NotAFileError):
            error.remedy = f"put the copy in its place: `{put_back_command(self.path, self.spare)}`"
        kept = f"{len(self.records)} known entries keep working"
        self.problems = (
            StoreProblem(str(self.path), "$", f"{error.problem}; {kept}", error.remedy or ""),
        )

    def _parse(self, path: Path, data: bytes) -> dict[str, _Entry[T]]:
        texts = entries.split(data)
        if texts is not None:
            with contextlib.suppress(ValueError):  # one entry is not JSON: so is the file
                return {key: self._entry(key, text) for key, text in texts.items()}
        found = dict[str, _Entry[T]]()
        for key, value in entries.parse(path, data).items():
            text = entries.join_one(key, value)
            try:
                found[key] = self._entry(key, text)
            except ValueError:
                fault = "a name in it ends in half a character"
                found[key] = _Entry(text, self.stand_in(value), fault)
        return found

    def _entry(self, key: str, text: bytes) -> _Entry[T]:
        known = self._entries.get(key)
        if known is not None and known.text == text:
            return known
        value = entries.parse_one(key, text)
        if type(value) is dict and value.get(self.key_name) == key:
            value[self.key_name] = key  # one string, not two, in each of thousands
        try:
            record = codec.load(value, self.kind)
            fault = self.check(key, record)
        except ValueError as error:
            return _Entry(text, self.stand_in(value), str(error))
        return _Entry(text, None if fault else record, fault)

    def _take(self, found: dict[str, _Entry[T]], present: Stamp | None) -> None:
        records = {key: item.record for key, item in found.items() if item.record is not None}
        self.problems = self._faults(found)
        if records != self.records:
            self.records = records
        self._entries, self._stamp, self._unreadable = found, present, False
        self._known = True

    def _faults(self, found: Mapping[str, _Entry[T]]) -> tuple[StoreProblem, ...]:
        return tuple(self._problem(f"$.{key}", item) for key, item in found.items() if item.fault)

    def _problem(self, path: str, item: _Entry[T]) -> StoreProblem:
        meanwhile = "it is ignored" if item.record is None else self.meanwhile
        return StoreProblem(
            file=str(self.path),
            path=path,
            problem=item.fault or "",
            remedy=f"repair or delete that entry; {meanwhile} and kept until then",
        )

    def _fall_back(self, error: CorruptStoreError) -> None:
        """Go on with what was known, else with the spare copy, else with nothing and no writes."""
        spare = self._spare_entries() if self.precious else None
        if not self.records and spare is not None:
            self._take(spare, self._stamp)
        self._unreadable = True
        kept = f"{len(self.records)} known entries keep working"
        self.problems = (
            StoreProblem(str(self.path), "$", f"{error.problem}; {kept}", self._way_out(spare)),
        )

    def _spare_entries(self) -> dict[str, _Entry[T]] | None:
        """Return what the spare copy holds, None if there is none that can be read."""
        try:
            found = read_file(self.spare)
            return None if found is None else self._parse(self.spare, found[0])
        except StoreError:  # of the damage of two files the first is the one to tell
            return None

    def _way_out(self, spare: dict[str, _Entry[T]] | None) -> str:
        """Return what to do about a damaged file: nothing that would lose what is still known.

        A file that is moved away is one that was reset, so `mv` is named only where all is lost.
        """
        if not self._can_replace:
            return f"repair it, or give up what it holds: {give_up_command(self.path)}"
        safe = (
            "nothing is lost: the next write puts it right and keeps the damaged text beside it"
            if self.records
            else "nothing that cannot be asked for again is lost: the next write begins it anew"
        )
        if spare is None or {key: item.record for key, item in spare.items()} != {
            key: item.record for key, item in self._entries.items()
        }:
            return safe
        names = shlex.join(["cp", "-p", str(self.spare), str(self.path)])
        return f"{safe}; to do it now, `{names}`"

    @property
    def _can_replace(self) -> bool:
        return bool(self.records) or not self.precious

    def write(self, records: Mapping[str, T]) -> None:
        """Replace the file by ``records`` and the broken entries it held; see `stage`."""
        ready = self.stage(records)
        try:
            self.commit(ready)
        finally:
            ready.staged.discard()

    def write_again(self) -> None:
        """Replace the file by the records it holds, to learn whether that works; not if it is broken.

        Raises:
            StoreError: as for `stage` and `commit`.
        """
        if not self._unreadable:
            self.write(self.records)

    def stage(self, records: Mapping[str, T]) -> StagedRecords[T]:
        """Write ``records`` and the broken entries beside the file; the caller has the lock.

        Raises:
            CorruptStoreError: the file is broken and nothing is known that could replace it.
            StoreError: it cannot be written; the old file is untouched.
        """
        if self._unreadable:
            if not self._can_replace:
                raise CorruptStoreError(
                    f"{self.path} is broken and nothing is known that could replace it",
                    remedy=f"repair it, or give it up with {give_up_command(self.path)}",
                )
            self._keep_aside()
        sweep_staged(self.path)
        encoded = self._encoded(records)
        data = entries.join(item.text for item in encoded.values())
        return StagedRecords(stage_file(self.path, data), data, records, encoded)

    def commit(self, ready: StagedRecords[T]) -> None:
        """Put a staged version in place and copy it to the spare.

        Raises:
            StoreError: it could not be put in place; the next look tells what is there.
        """
        self._settled = False  # whatever happens, look again
        unsure = self._unreadable or self._stamp is None
        self._stamp = ready.staged.commit()
        self._digest, self.records, self._entries = hash(ready.data), ready.records, ready.entries
        if self.problems:  # the whole file, or entries that are others now
            self._unreadable, self.problems = False, self._faults(ready.entries)
        if self.precious:
            # The change is made: a spare that is one version old is no reason to say it failed.
            with contextlib.suppress(StoreError):
                if unsure:
                    self._keep_spare(ready)
                replace_file(self.spare, ready.data, durable=False)

    def _keep_spare(self, ready: StagedRecords[T]) -> None:
        """Keep the last good copy once more, if what comes after a damage or a loss holds less."""
        held = self._spare_entries()
        if held is None or not held.keys() <= ready.entries.keys():
            _copy_beside(self.spare, "")

    def _keep_aside(self) -> None:
        _copy_beside(self.path, "corrupt-")

    def _encoded(self, records: Mapping[str, T]) -> dict[str, _Entry[T]]:
        """Return the file's new entries; a record that did not change is not encoded again."""
        encoded: dict[str, _Entry[T]] = {}
        for key, record in records.items():
            known = self._entries.get(key)
            if known is None or known.record is not record:
                known = _Entry(entries.join_one(key, codec.dump(record)), record)
            encoded[key] = known
        for key, item in self._entries.items():
            if item.record is None:
                encoded.setdefault(key, item)
        return encoded


def _copy_beside(path: Path, sign: str) -> None:
    found = read_file(path)
    if found is not None:
        data, present = found
        # Named for the time of its last change, so that trying again makes no second copy.
        at_ms = present.mtime_ns // 1_000_000
        replace_file(path.with_name(f"{path.name}.{sign}{at_ms}"), data)
