"""The device store: a pairing transition made durable, under one lock, with its audit line."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from attrs import define, evolve, field, frozen

from stores import audit, pairing
from stores.errors import StoreError, UserFacingError
from stores.files import ensure_private_dir, locked, read_file, replace_file
from stores.keys import decode_public_key, device_id_of
from stores.record_file import RecordFile, StoreProblem
from stores.records import AuditEntry, DeviceBook, DeviceNote, PairedDevice, PendingRequest
from stores.transition import Caller, Change, Rules

T = TypeVar("T")
Transition: TypeAlias = Callable[[DeviceBook, Rules], Change[Any]]

STORE_KEY_BYTES = 32
TOKEN_BYTES = 32


@frozen
class PairingLimits:
    """How long pending requests live (ms since last contact) and how many there may be."""

    ttl_ms: int = 300_000
    max_pending: int = 200
    max_per_address: int = 10


def new_device_token() -> str:
    """Return a fresh device token: 32 random bytes as base64url without padding."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def _sound_key(key: str, public_key: str, device_id: str) -> str | None:
    if key != device_id:
        return f"deviceId is {device_id}, but the entry is filed under another id"
    raw = decode_public_key(public_key)
    if raw is None or device_id_of(raw) != device_id:
        return "publicKey does not hash to deviceId"
    return None


def _sound_device(key: str, record: PairedDevice) -> str | None:
    return _sound_key(key, record.public_key, record.device_id)


def _sound_request(key: str, record: PendingRequest) -> str | None:
    if key != record.request_id:
        return f"requestId is {record.request_id}, but the entry is filed under another id"
    return _sound_key(record.device_id, record.public_key, record.device_id)


@define(eq=False)
class DeviceStore:
    """The files of ``devices/`` and the book they hold.

    Every method but `book` does file work: call it in a worker thread where an event loop runs.

    Args:
        directory: The ``devices`` folder; made private on the first write.
        via: The road named in audit lines: ``ws`` for the gateway, ``files`` for a command.

    Locking: transitions hold ``store.lock``; readers take no lock and read *pending* first, so a
    request in flight may show in both files, never in neither.
    """

    directory: Path
    via: str = "files"
    limits: PairingLimits = field(factory=PairingLimits)
    lock_timeout_s: float = 5.0
    new_token: Callable[[], str] = new_device_token
    _book: DeviceBook = field(factory=DeviceBook)
    _key: bytes | None = field(default=None, repr=False)
    _contacts: dict[tuple[str, str], int] = field(factory=dict)
    _mutex: threading.RLock = field(factory=threading.RLock)
    _pending: RecordFile[PendingRequest] = field(init=False)
    _paired: RecordFile[PairedDevice] = field(init=False)
    _notes: RecordFile[DeviceNote] = field(init=False)

    def __attrs_post_init__(self) -> None:
        at = self.directory
        self._pending = RecordFile(at / "pending.json", PendingRequest, _sound_request)
        self._paired = RecordFile(at / "paired.json", PairedDevice, _sound_device, precious=True)
        self._notes = RecordFile(at / "notes.json", DeviceNote, precious=True)

    @property
    def book(self) -> DeviceBook:
        """The book as of the last `read` or `apply`; costs nothing."""
        return self._book

    @property
    def problems(self) -> tuple[StoreProblem, ...]:
        """What is wrong with the files, as of the last look."""
        return (*self._pending.problems, *self._paired.problems, *self._notes.problems)

    @property
    def audit_trail(self) -> Path:
        """Where the audit trail is."""
        return self.directory / "audit.jsonl"

    def read(self) -> DeviceBook:
        """Return the book, parsing only files whose stamp moved.

        Raises:
            StoreError: a file exists and cannot be read.
        """
        with self._mutex:
            moved = [self._pending.look(), self._paired.look(), self._notes.look()]
            if any(moved):
                self._book = pairing.heal(
                    DeviceBook(self._pending.records, self._paired.records, self._notes.records)
                )
            return self._book

    def touch(self, device_id: str, role: str, *, at_ms: int) -> None:
        """Remember that a device was here; written with the next transition or `flush`."""
        self._contacts[(device_id, role)] = at_ms

    def flush(self, *, now_ms: int) -> None:
        """Write down remembered contacts, if there are any, and forget expired requests."""
        with self._mutex:
            stale = any(
                pairing.expired(item, now_ms=now_ms, ttl_ms=self.limits.ttl_ms)
                for item in self._book.pending.values()
            )
            if self._contacts or stale:
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
        with self._mutex, locked(self.directory / "store.lock", timeout_s=self.lock_timeout_s):
            before = self.read()
            rules = self._rules(now_ms)
            swept = pairing.drop_expired(before, rules)
            book, trail, results = swept.book, list(swept.audit), list[Any]()
            contacts, self._contacts = self._contacts, {}
            if contacts:
                book = pairing.seen(book, rules, contacts=contacts).book
            for transition in transitions:
                try:
                    change = transition(book, rules)
                except UserFacingError as refusal:
                    results.append(refusal)
                else:
                    book = change.book
                    trail += change.audit
                    results.append(change.result)
            try:
                self._write(before, book, trail, now_ms=now_ms)
            except StoreError:
                self._contacts = contacts | self._contacts
                raise
            return results

    def one(self, transition: Transition, *, now_ms: int) -> Any:
        """Make one transition durable and return its result, or raise what it raised."""
        (result,) = self.apply([transition], now_ms=now_ms)
        if isinstance(result, UserFacingError):
            raise result
        return result

    def approve(
        self, reference: str, *, caller: Caller, now_ms: int
    ) -> tuple[PendingRequest, PairedDevice]:
        """Approve a pending request; see `pairing.approve` for what it raises."""
        decided: tuple[PendingRequest, PairedDevice] = self.one(
            lambda book, rules: pairing.approve(book, rules, reference=reference, caller=caller),
            now_ms=now_ms,
        )
        return decided

    def reject(self, reference: str, *, caller: Caller, now_ms: int) -> PendingRequest:
        """Reject a pending request; see `pairing.reject` for what it raises."""
        decided: PendingRequest = self.one(
            lambda book, rules: pairing.reject(book, rules, reference=reference, caller=caller),
            now_ms=now_ms,
        )
        return decided

    def _write(
        self, before: DeviceBook, book: DeviceBook, trail: list[AuditEntry], *, now_ms: int
    ) -> None:
        """Write the files that changed: paired first, so a crash leaves nothing half decided."""
        if book.paired is not before.paired:
            self._paired.write(book.paired)
        if book.notes is not before.notes:
            self._notes.write(book.notes)
        if book.pending is not before.pending or self._pending.records is not book.pending:
            self._pending.write(book.pending)
        self._book = evolve(book)
        audit.append(self.audit_trail, trail, now_ms=now_ms, via=self.via)

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
                replace_file(path, secrets.token_bytes(STORE_KEY_BYTES))
                found = read_file(path)
            assert found is not None
            self._key = found[0]
        return self._key


def live_pending(book: DeviceBook, *, now_ms: int, ttl_ms: int) -> Mapping[str, PendingRequest]:
    """Return the pending requests whose life is not over, as every reader must see them."""
    return {
        key: item
        for key, item in book.pending.items()
        if not pairing.expired(item, now_ms=now_ms, ttl_ms=ttl_ms)
    }
