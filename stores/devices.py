"""The device store: a pairing transition made durable, under one lock, with its audit line."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from attrs import define, field, frozen

from stores import audit, ending, pairing
from stores.contacts import Contacts
from stores.decisions import Decisions, Transition
from stores.errors import CorruptStoreError, StoreError, UnknownRequestError, UserFacingError
from stores.files import check_writable, ensure_private_dir, locked, read_file, replace_file
from stores.record_file import RecordFile, StoreProblem
from stores.records import (
    AuditEntry,
    DeviceBook,
    DeviceNote,
    Invitation,
    PairedDevice,
    PendingRequest,
)
from stores.sound_records import notes_file, sound_device, sound_request
from stores.transition import Rules

T = TypeVar("T")

STORE_KEY_BYTES = 32
TOKEN_BYTES = 32


@frozen
class PairingLimits:
    """How long pending requests live (ms since last contact) and how many there may be."""

    ttl_ms: int = 300_000
    max_pending: int = 200
    max_per_address: int = 10


_Held: TypeAlias = tuple[
    Mapping[str, PendingRequest],
    Mapping[str, PairedDevice],
    Mapping[str, DeviceNote],
    Mapping[str, Invitation],
]


def new_device_token() -> str:
    """Return a fresh device token: 32 random bytes as base64url without padding."""
    import secrets  # late: it loads OpenSSL, which a reader of the store has no use for

    return secrets.token_urlsafe(TOKEN_BYTES)


@define(eq=False)
class DeviceStore(Decisions):
    """The files of ``devices/`` and the book they hold.

    Every method but `book` does file work: call it in a worker thread where an event loop runs.

    Args:
        directory: The ``devices`` folder; made private on the first write.
        via: The road named in audit lines: ``ws`` for the gateway, ``files`` for a command.

    Locking: transitions hold ``store.lock``; readers take no lock and read *pending* first, so a
    request in flight may show in both files, never in neither. Within the process one thread
    waits for the lock at a time, and readers wait for a write, never for the lock.
    """

    directory: Path
    via: str = "files"
    limits: PairingLimits = field(factory=PairingLimits)
    lock_timeout_s: float = 5.0
    new_token: Callable[[], str] = new_device_token
    _book: DeviceBook = field(factory=DeviceBook)
    _held: _Held | None = None
    _key: bytes | None = field(default=None, repr=False)
    _contacts: Contacts = field(factory=Contacts)
    _unlogged: bytes = b""
    _trail_problem: tuple[StoreProblem, ...] = ()
    _write_problem: tuple[StoreProblem, ...] = ()
    _writing: RecordFile[Any] | None = None
    _turn: threading.Lock = field(factory=threading.Lock)
    _mutex: threading.RLock = field(factory=threading.RLock)
    _pending: RecordFile[PendingRequest] = field(init=False)
    _paired: RecordFile[PairedDevice] = field(init=False)
    _notes: RecordFile[DeviceNote] = field(init=False)
    _invitations: RecordFile[Invitation] = field(init=False)

    def __attrs_post_init__(self) -> None:
        at = self.directory
        self._pending = RecordFile(at / "pending.json", PendingRequest, sound_request)
        self._paired = RecordFile(
            at / "paired.json", PairedDevice, sound_device, precious=True, key_name="deviceId"
        )
        self._notes = notes_file(at)
        self._invitations = RecordFile(at / "bootstrap.json", Invitation)

    @property
    def book(self) -> DeviceBook:
        """The book as of the last `read` or `apply`; costs nothing."""
        return self._book

    @property
    def problems(self) -> tuple[StoreProblem, ...]:
        """What is wrong with the files, as of the last look."""
        return (
            *(fault for file in self._files for fault in file.problems),
            *self._trail_problem,
            *self._write_problem,
        )

    @property
    def _files(self) -> tuple[RecordFile[Any], ...]:
        """The files in the order in which readers look at them: what is asked before what is."""
        return (self._pending, self._paired, self._notes, self._invitations)

    @property
    def lost(self) -> bool:
        """Whether a file cannot be read of which nothing is known: who is paired, or who is blocked."""
        return self._paired.lost or self._notes.lost

    @property
    def known(self) -> bool:
        """Whether every file, or its copy, was ever read."""
        return all(file.known for file in self._files)

    @property
    def audit_trail(self) -> Path:
        """Where the audit trail is."""
        return self.directory / "audit.jsonl"

    def read(self) -> DeviceBook:
        """Return the book, parsing only files whose stamp moved.

        Raises:
            StoreError: a file exists and cannot be read; `book` is what is known all the same.
        """
        unread = list[StoreError]()
        with self._mutex:
            for file in self._files:
                try:
                    file.look()
                except StoreError as error:  # the others may have changed, and count
                    unread.append(error)
            book = self._refreshed()
        if unread:
            raise unread[0]
        return book

    def _refreshed(self) -> DeviceBook:
        """Return the book of the records in memory, the same one while they are the same."""
        devices = (self._pending.records, self._paired.records, self._notes.records)
        held = (*devices, self._invitations.records)
        if self._held is None or any(a is not b for a, b in zip(held, self._held, strict=True)):
            self._held = held
            self._book = pairing.heal(DeviceBook(*held))
        return self._book

    def touch(self, device_id: str, role: str, *, at_ms: int) -> None:
        """Remember that a device was here; written with the next change of a record or `flush`.

        Blocks on nothing: an event loop may call it.
        """
        self._contacts.note(device_id, role, at_ms=at_ms)

    @property
    def book_as_of_now(self) -> DeviceBook:
        """What the last read found, with the contacts since; touches no disk, as `book`."""
        return pairing.with_contacts(self._book, self._contacts.waiting())

    def flush(self, *, now_ms: int) -> None:
        """Write down remembered contacts, if there are any, and forget expired requests."""
        stale = any(
            pairing.expired(item, now_ms=now_ms, ttl_ms=self.limits.ttl_ms)
            for item in self._book.pending.values()
        )
        if self._contacts or stale or self._unlogged:
            self.apply((), now_ms=now_ms)

    def apply(self, transitions: Sequence[Transition], *, now_ms: int) -> list[Any]:
        """Make transitions durable, all under one lock and with one replace a file.

        Returns:
            For each transition its result, or the `UserFacingError` it raised; one that fails
            does not hinder the others.

        Raises:
            LockTimeoutError: another process kept the lock; nothing changed.
            StoreError: the files cannot be read or written; nothing is admitted on such a book.
        """
        with self._alone():
            before, rules = self.read(), self._rules(now_ms)
            swept = pairing.drop_expired(before, rules)
            book, trail, results = _all_made(swept.book, rules, transitions)
            # The large file is not written for contacts alone, but when they are what is asked for.
            writes_paired = book.paired is not before.paired or not transitions
            contacts = self._contacts.take() if writes_paired else {}
            try:
                book = pairing.with_contacts(book, contacts)
                self._write(book, (*swept.audit, *trail), now_ms=now_ms)
            except BaseException:
                self._contacts.give_back(contacts)
                raise
            return self._explained(results, book, swept.result, now_ms=now_ms)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock; what keeps the body from writing is a problem until a write succeeds."""
        try:
            lock = self.directory / "store.lock"
            with self._turn, locked(lock, timeout_s=self.lock_timeout_s), self._mutex:
                yield
        except StoreError as error:
            self._note_failure(error)
            raise

    def _note_failure(self, error: StoreError) -> None:
        told = [fault for file in self._files for fault in file.problems]
        if isinstance(error, CorruptStoreError) or any(error.problem in p.problem for p in told):
            return
        problem = f"{error.problem}; nothing is decided until that works again"
        self._write_problem = (StoreProblem(str(self.directory), "$", problem, error.remedy or ""),)

    def check(self, *, now_ms: int) -> None:
        """Try again what could not be written, so that it is known as soon as it can; decides nothing.

        Raises:
            StoreError: it cannot be written still.
        """
        if not self._write_problem:
            try:
                check_writable(self.directory)
            except StoreError as error:
                self._note_failure(error)
                raise
            return
        with self._alone():
            self.read()
            self._rules(now_ms)
            audit.append(self.audit_trail, b"")
            if self._writing is not None:
                self._writing.write_again()
            self._written()

    def _written(self) -> None:
        self._write_problem, self._writing = (), None

    def _explained(
        self,
        results: list[Any],
        book: DeviceBook,
        swept: Sequence[PendingRequest],
        *,
        now_ms: int,
    ) -> list[Any]:
        """Return the results; of ids that are pending no more, what the trail says became of them."""
        if not any(isinstance(result, UnknownRequestError) for result in results):
            return results
        lines = ending.tail_of(self.audit_trail)
        unlogged = ending.lines_of(self._unlogged.splitlines())
        return [
            ending.explained(
                result,
                book,
                [*lines, *unlogged],
                swept=swept,
                now_ms=now_ms,
                ttl_ms=self.limits.ttl_ms,
            )
            if isinstance(result, UnknownRequestError)
            else result
            for result in results
        ]

    def one(self, transition: Transition, *, now_ms: int) -> Any:
        """Make one transition durable and return its result, or raise what it raised."""
        (result,) = self.apply([transition], now_ms=now_ms)
        if isinstance(result, UserFacingError):
            raise result
        return result

    def _write(self, book: DeviceBook, trail: Sequence[AuditEntry], *, now_ms: int) -> None:
        """Write the files that changed: paired first, so a crash leaves nothing half decided.

        Everything is on disk, and the trail known to be writable, before the first rename.
        """
        lines = self._unlogged + audit.lines_of(trail, now_ms=now_ms, via=self.via)
        with contextlib.ExitStack() as undo:
            commits = [
                *self._staged(self._paired, book.paired, undo),
                *self._staged(self._notes, book.notes, undo),
                *self._staged(self._invitations, book.invitations, undo),
                *self._staged(self._pending, book.pending, undo),
            ]
            self._writing = None
            if lines:
                audit.append(self.audit_trail, b"")
            made = 0
            try:
                for made, (self._writing, commit) in enumerate(commits):  # noqa: B007  # see below
                    commit()
            except StoreError:
                if made:  # what is in place is decided, though the rest is not
                    self._unlogged = lines
                raise
            finally:
                self._refreshed()
        if commits:
            self._written()
        if lines:
            self._log(lines)

    def _staged(
        self, file: RecordFile[T], records: Mapping[str, T], undo: contextlib.ExitStack
    ) -> list[tuple[RecordFile[Any], Callable[[], None]]]:
        """Write a changed file beside itself, and return how to put it in place."""
        if records is file.records:
            return []
        self._writing = file
        ready = file.stage(records)
        undo.callback(ready.staged.discard)
        return [(file, partial(file.commit, ready))]

    def _log(self, lines: bytes) -> None:
        """Append to the trail; what was decided stays decided, so a failure is kept for next time."""
        try:
            audit.append(self.audit_trail, lines)
        except StoreError as error:
            self._unlogged = lines
            waiting = lines.count(b"\n")
            problem = f"{error.problem}; {waiting} lines wait in memory"
            self._trail_problem = (
                StoreProblem(str(self.audit_trail), "$", problem, error.remedy or ""),
            )
        else:
            self._unlogged, self._trail_problem = b"", ()

    def _rules(self, now_ms: int) -> Rules:
        return Rules(
            now_ms=now_ms,
            store_key=self._store_key(),
            new_token=self.new_token,
            ttl_ms=self.limits.ttl_ms,
            max_pending=self.limits.max_pending,
            max_per_address=self.limits.max_per_address,
        )

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


def _all_made(
    book: DeviceBook, rules: Rules, transitions: Sequence[Transition]
) -> tuple[DeviceBook, list[AuditEntry], list[Any]]:
    """Return the book after all transitions, their audit lines, and a result or refusal for each."""
    trail, results = list[AuditEntry](), list[Any]()
    for transition in transitions:
        try:
            change = transition(book, rules)
        except UserFacingError as refusal:
            results.append(refusal)
        else:
            book = change.book
            trail += change.audit
            results.append(change.result)
    return book, trail, results


def live_pending(book: DeviceBook, *, now_ms: int, ttl_ms: int) -> Mapping[str, PendingRequest]:
    """Return the pending requests whose life is not over, as every reader must see them."""
    return {
        key: item
        for key, item in book.pending.items()
        if not pairing.expired(item, now_ms=now_ms, ttl_ms=ttl_ms)
    }
