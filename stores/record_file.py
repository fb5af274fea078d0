"""One JSON file of records keyed by id: read when its stamp moved, rewritten without losing any.

A file that is not a JSON object, or a record that is not what it should be, is never taken for
empty: what was known keeps working, what is broken is kept aside and reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from stores import codec
from stores.errors import CorruptStoreError
from stores.files import Stamp, parse_object, read_file, replace_file, stamp

T = TypeVar("T")


@frozen
class StoreProblem:
    """A fault in a store file: ``path`` is the JSON path within ``file``."""

    file: str
    path: str
    problem: str
    remedy: str


@define(eq=False)
class RecordFile(Generic[T]):
    """The file, its records, and what is wrong with it.

    Args:
        check: Returns what is wrong with a well-formed record, or None.
        precious: Its records cannot be asked for again: a spare copy is kept, and a broken file
            without one is not overwritten.
    """

    path: Path
    kind: type[T]
    check: Callable[[str, T], str | None] = lambda _key, _record: None
    precious: bool = False
    records: Mapping[str, T] = field(factory=dict)
    problems: tuple[StoreProblem, ...] = ()
    _broken: Mapping[str, Any] = field(factory=dict)
    _stamp: Stamp | None = None
    _unreadable: bool = False
    _known: bool = False
    _encoded: dict[str, tuple[T, bytes]] = field(factory=dict)

    @property
    def spare(self) -> Path:
        """Where the copy of the last good version is."""
        return self.path.with_name(f"{self.path.name}.bak")

    def look(self) -> bool:
        """Read the file again if its stamp moved; tell whether it did.

        Raises:
            StoreError: the file exists and cannot be read at all.
        """
        present = stamp(self.path)
        if self._known and present == self._stamp:
            return False
        found = read_file(self.path)
        self._known = True
        if found is None:
            self._take({}, None)
            return True
        data, self._stamp = found
        try:
            self._take(parse_object(self.path, data), self._stamp)
        except CorruptStoreError as error:
            self._fall_back(error)
        return True

    def _take(self, raw: dict[str, Any], present: Stamp | None) -> None:
        records: dict[str, T] = {}
        broken: dict[str, Any] = {}
        problems: list[StoreProblem] = []
        for key, value in raw.items():
            try:
                record = codec.load(value, self.kind)
                fault = self.check(key, record)
            except ValueError as error:
                fault = str(error)
            if fault is None:
                records[key] = record
            else:
                broken[key] = value
                problems.append(self._problem(f"$.{key}", fault))
        self.records, self._broken, self.problems = records, broken, tuple(problems)
        self._stamp, self._unreadable = present, False

    def _problem(self, path: str, fault: str) -> StoreProblem:
        return StoreProblem(
            file=str(self.path),
            path=path,
            problem=fault,
            remedy="repair or delete that entry; it is ignored and kept until then",
        )

    def _fall_back(self, error: CorruptStoreError) -> None:
        """Go on with what was known, else with the spare copy, else with nothing and no writes."""
        known = dict(self.records)
        if not known and self.precious:
            known = self._from_spare()
        self.records, self._unreadable = known, True
        kept = f"{len(known)} known entries keep working"
        self.problems = (
            StoreProblem(str(self.path), "$", f"{error.problem}; {kept}", error.remedy or ""),
        )

    def _from_spare(self) -> dict[str, T]:
        found = read_file(self.spare)
        if found is None:
            return {}
        try:
            self._take(parse_object(self.spare, found[0]), self._stamp)
        except CorruptStoreError:
            return {}
        return dict(self.records)

    def write(self, records: Mapping[str, T]) -> None:
        """Replace the file by ``records`` and the broken entries it held; the caller has the lock.

        Raises:
            CorruptStoreError: the file is broken and nothing is known that could replace it.
            StoreError: it cannot be written; the old file is untouched.
        """
        if self._unreadable:
            if self.precious and not self.records:
                raise CorruptStoreError(
                    f"{self.path} is broken and nothing is known that could replace it",
                    remedy=f"repair it, or give it up with `mv {self.path} {self.path}.broken`",
                )
            self._keep_aside()
        data = self._encode(records)
        self._stamp = replace_file(self.path, data)
        self.records, self._known = records, True
        if self._unreadable:
            self._unreadable, self.problems = False, ()
        if self.precious:
            replace_file(self.spare, data, durable=False)

    def _keep_aside(self) -> None:
        found = read_file(self.path)
        if found is not None:
            at_ms = time.time_ns() // 1_000_000
            replace_file(self.path.with_name(f"{self.path.name}.corrupt-{at_ms}"), found[0])

    def _encode(self, records: Mapping[str, T]) -> bytes:
        """Return the file's text; a record that did not change is not encoded again."""
        import orjson  # late: a reader never gets here

        encoded: dict[str, tuple[T, bytes]] = {}
        for key, record in records.items():
            known = self._encoded.get(key)
            if known is None or known[0] is not record:
                text = orjson.dumps({key: codec.dump(record)}, option=orjson.OPT_INDENT_2)
                known = (record, text[2:-2])
            encoded[key] = known
        self._encoded = encoded
        rest = [
            orjson.dumps({key: value}, option=orjson.OPT_INDENT_2)[2:-2]
            for key, value in self._broken.items()
            if key not in records
        ]
        parts = [text for _, text in encoded.values()] + rest
        return b"{\n" + b",\n".join(parts) + b"\n}" if parts else b"{}"
