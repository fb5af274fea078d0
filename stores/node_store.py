"""The node store: a transition of `nodes` made durable, under one lock, with its audit line."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from attrs import define, field

from stores import audit, nodes
from stores.files import ensure_private_dir, locked, read_file, replace_file
from stores.nodes import NodeBook, NodeChange, NodeRecord, NodeRequest, NodeRules
from stores.record_file import RecordFile, StoreProblem

STORE_KEY_BYTES = 32

NodeTransition: TypeAlias = Callable[[NodeBook, NodeRules], NodeChange]


def _sound_request(key: str, record: NodeRequest) -> str | None:
    if key != record.request_id:
        return f"requestId is {record.request_id}, but the entry is filed under another id"
    return None


def _sound_node(key: str, record: NodeRecord) -> str | None:
    if key != record.node_id:
        return f"nodeId is {record.node_id}, but the entry is filed under another id"
    return None


@define(eq=False)
class NodeStore:
    """The files of ``nodes/`` and the book they hold.

    Every method but `book` does file work: call it in a worker thread where an event loop runs.

    Args:
        directory: The ``nodes`` folder; made private on the first write.

    Locking: transitions hold ``store.lock``; *paired* is put in place before *pending*, so what a
    crash leaves shows in both files, never in neither.
    """

    directory: Path
    lock_timeout_s: float = 5.0
    _key: bytes | None = field(default=None, repr=False)
    _turn: threading.Lock = field(factory=threading.Lock)
    _book: NodeBook = field(factory=NodeBook)
    _by_others: list[tuple[NodeBook, NodeBook]] = field(factory=list)
    _pending: RecordFile[NodeRequest] = field(init=False)
    _paired: RecordFile[NodeRecord] = field(init=False)

    def __attrs_post_init__(self) -> None:
        at = self.directory
        self._pending = RecordFile(at / "pending.json", NodeRequest, _sound_request)
        self._paired = RecordFile(
            at / "paired.json", NodeRecord, _sound_node, precious=True, key_name="nodeId"
        )

    @property
    def book(self) -> NodeBook:
        """The book as of the last `read` or `apply`; costs nothing."""
        return self._book

    @property
    def problems(self) -> tuple[StoreProblem, ...]:
        """What is wrong with the files, as of the last look."""
        return (*self._pending.problems, *self._paired.problems)

    @property
    def audit_trail(self) -> Path:
        """Where decisions about nodes are written down."""
        return self.directory / "audit.jsonl"

    def read(self, *, now_ms: int) -> NodeBook:
        """Return the book, parsing only files whose stamp moved.

        Raises:
            StoreError: a file exists and cannot be read.
        """
        with self._turn:
            return self._looked(now_ms)

    def _looked(self, now_ms: int) -> NodeBook:
        known = self._pending.known and self._paired.known
        others = [file.look() for file in (self._pending, self._paired)]
        held = NodeBook(self._pending.records, self._paired.records)
        before, self._book = self._book, nodes.drop_expired(held, now_ms=now_ms)
        if known and any(others):
            self._by_others.append((before, self._book))
        return self._book

    def changes_by_others(self) -> list[tuple[NodeBook, NodeBook]]:
        """Return what other programs made of the book since this was asked last: before and after."""
        with self._turn:
            found, self._by_others = self._by_others, []
            return found

    def apply(
        self,
        transition: NodeTransition,
        *,
        now_ms: int,
        taken: Callable[[str], bool] = lambda _code: False,
    ) -> Any:
        """Make one transition durable and return its result.

        Args:
            taken: Whether another store has a request under a code already.

        Raises:
            TransitionError: what the transition raised; nothing changed.
            StoreError: the files cannot be read or written; nothing changed.
        """
        with self._turn, locked(self.directory / "store.lock", timeout_s=self.lock_timeout_s):
            before = self._looked(now_ms)
            rules = NodeRules(
                now_ms=now_ms,
                store_key=self._store_key(),
                new_token=_new_token,
                taken=taken,
            )
            change = transition(before, rules)
            self._write(change, now_ms=now_ms)
            return change.result

    def _write(self, change: NodeChange, *, now_ms: int) -> None:
        book = change.book
        if change.audit is not None:
            audit.append(self.audit_trail, b"")  # it must be writable before anything changes
        with contextlib.ExitStack() as undo:
            ready: list[Callable[[], None]] = []
            if book.paired != self._paired.records:
                paired = self._paired.stage(book.paired)
                undo.callback(paired.staged.discard)
                ready.append(lambda: self._paired.commit(paired))
            if book.pending != self._pending.records:
                pending = self._pending.stage(book.pending)
                undo.callback(pending.staged.discard)
                ready.append(lambda: self._pending.commit(pending))
            for commit in ready:
                commit()
        self._book = book
        if change.audit is not None:
            audit.append(self.audit_trail, _line(change.audit, now_ms))

    def _store_key(self) -> bytes:
        """Return the key of the request ids, made on first use; the caller holds the lock."""
        if self._key is None:
            path = self.directory / "store.key"
            found = read_file(path)
            if found is None or len(found[0]) != STORE_KEY_BYTES:
                ensure_private_dir(self.directory)
                replace_file(path, os.urandom(STORE_KEY_BYTES))
                found = read_file(path)
            assert found is not None
            self._key = found[0]
        return self._key


def _new_token() -> str:
    return secrets.token_urlsafe(STORE_KEY_BYTES)


def _line(facts: Mapping[str, Any], now_ms: int) -> bytes:
    at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return orjson.dumps({"ts": at.replace("+00:00", "Z")} | dict(facts)) + b"\n"
