"""The one writer of the device store: queues transitions, writes them in batches, announces.

Whoever changed the book, this program or another in the files, is announced by the same
comparison of the last book announced with the present one.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import trio
from attrs import define, field

from gateway.protocol.frames import EventBody
from gateway.runtime import Runtime
from gateway.upgrades import Outcome, Upgrades
from stores import codec
from stores.decisions import Transition
from stores.differences import BookEvent, Ended, Renamed, Requested, Resolved, differences
from stores.errors import StoreError, UserFacingError
from stores.pairing import expired, needs_refresh, waiting_request
from stores.record_file import StoreProblem
from stores.records import DeviceBook, PendingRequest
from stores.transition import Rules, Wish

logger = logging.getLogger("gateway.devices")

#: How often the files are looked at; an approval by another program takes effect within this.
LOOK_EVERY_S = 0.7

#: How often it is tried whether the files can be written again, after they could not.
CHECK_EVERY_S = 3.0

#: How often last-seen times are written down.
CONTACTS_EVERY_S = 60.0

#: How often a device that stays connected counts as seen again: else who never leaves would be
#: forgotten as one who never comes. Rarely, because it writes the whole file.
PRESENT_EVERY_S = 6 * 3600.0


@define(eq=False)
class _Ticket:
    transition: Transition
    done: trio.Event = field(factory=trio.Event)
    outcome: Any = None


@define(eq=False)
class Keeper:
    """Owner of the device store in a running gateway.

    Args:
        announced: The book that the outside was last told of.
        upgrades: What became of requests, for the sessions that wait for it.
    """

    runtime: Runtime
    announced: DeviceBook = field(factory=DeviceBook)
    upgrades: Upgrades = field(factory=Upgrades)
    _waiting: list[_Ticket] = field(factory=list)
    _work: trio.Event = field(factory=trio.Event)
    _stopped: bool = False
    _reported: tuple[StoreProblem, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reported = self.runtime.store.problems  # those are told when the gateway starts

    async def apply(self, transition: Transition) -> Any:
        """Make a transition durable and return its result.

        Cancellation: what was not begun is not done; a write under way is not taken back.

        Raises:
            UserFacingError: what the transition raised, or why nothing could be written.
        """
        ticket = _Ticket(transition)
        if self._stopped:
            raise StoreError("the gateway is stopping")
        self._waiting.append(ticket)
        self._work.set()
        try:
            await ticket.done.wait()
        except trio.Cancelled:
            if ticket in self._waiting:  # else it is being written
                self._waiting.remove(ticket)
            raise
        if isinstance(ticket.outcome, UserFacingError):
            raise ticket.outcome
        return ticket.outcome

    def waiting(self, wish: Wish) -> PendingRequest | None:
        """Return the request that a wish has left already, while it needs no refresh: no write."""
        runtime = self.runtime
        found = waiting_request(runtime.store.book, wish)
        ttl_ms = runtime.settings.limits.ttl_ms
        rules = Rules(now_ms=runtime.now_ms(), store_key=b"", new_token=str, ttl_ms=ttl_ms)
        return None if found is None or needs_refresh(found, rules) else found

    async def write_queued(self) -> None:
        """Serve for ever: all transitions that wait are written under one lock.

        Cancellation: a write under way runs to its end; those still queued are refused.
        """
        try:
            while True:
                await self._work.wait()
                self._work = trio.Event()
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            self._stopped = True
            self._refuse(self._waiting, StoreError("the gateway is stopping"))

    async def _write(self, batch: list[_Ticket]) -> None:
        runtime = self.runtime
        transitions = [ticket.transition for ticket in batch]
        try:
            began_s = trio.current_time()
            outcomes = await runtime.in_thread(_apply, runtime, transitions)
            runtime.metrics.store_writes.observe(trio.current_time() - began_s)
        except UserFacingError as error:
            logger.error("%s; %s", error.problem, error.remedy or "nothing was written")  # noqa: TRY400  # an operator's error has no traceback
            self._refuse(batch, error)
            return
        except BaseException:
            self._refuse(batch, StoreError("the device store could not be written"))
            raise
        for ticket, outcome in zip(batch, outcomes, strict=True):
            ticket.outcome = outcome
            ticket.done.set()
        self.announce()

    @staticmethod
    def _refuse(batch: list[_Ticket], error: UserFacingError) -> None:
        for ticket in batch:
            ticket.outcome = error
            ticket.done.set()

    async def look(self) -> None:
        """Look at the files now, and announce what another program changed."""
        with contextlib.suppress(StoreError):  # among the problems of the store
            await self.runtime.in_thread(self.runtime.store.read)
        self._report_problems()
        self.announce()

    def _report_problems(self) -> None:
        """Log each fault of the files once, when it is met; `health` tells them as long as they last."""
        faults = self.runtime.store.problems
        for fault in faults:
            if fault not in self._reported:
                logger.error("%s %s: %s; %s", fault.file, fault.path, fault.problem, fault.remedy)
        if self._reported and not faults:
            logger.info("the files of the device store are in order again")
        self._reported = faults

    async def watch(self) -> None:
        """Serve for ever: look at the files again and again.

        Polled on purpose: change notification does not cross the bind mounts of containers.
        """
        checked_s = trio.current_time()
        while True:
            await trio.sleep(LOOK_EVERY_S)
            await self.look()
            if trio.current_time() - checked_s >= CHECK_EVERY_S:
                checked_s = trio.current_time()
                await self.check()

    async def check(self) -> None:
        """Find out whether the files can be written, after they could not or a mount changed."""
        runtime = self.runtime
        with contextlib.suppress(StoreError):  # among the problems of the store
            await runtime.in_thread(_check, runtime)
        self._report_problems()

    async def expire_pending(self) -> None:
        """Serve for ever: forget requests nobody decided, and write last-seen times down."""
        written_s = present_s = trio.current_time()
        while True:
            await trio.sleep(min(15.0, max(0.5, self.runtime.settings.limits.ttl_ms / 10_000)))
            if trio.current_time() - present_s >= PRESENT_EVERY_S:
                present_s = trio.current_time()
                self.touch_present()
            due = trio.current_time() - written_s >= CONTACTS_EVERY_S
            if due or self._any_expired():
                written_s = trio.current_time()
                await self._flush()

    def touch_present(self) -> None:
        """Count every device that is connected as seen now."""
        now_ms = self.runtime.now_ms()
        for session in self.runtime.hub:
            if session.device_id is not None:
                self.runtime.store.touch(session.device_id, session.role, at_ms=now_ms)

    async def _flush(self) -> None:
        runtime = self.runtime
        try:
            await runtime.in_thread(_flush, runtime)
        except StoreError as error:
            logger.error("%s; %s", error.problem, error.remedy)  # noqa: TRY400  # an operator's error has no traceback
            return
        self.announce()

    def _any_expired(self) -> bool:
        now_ms, ttl_ms = self.runtime.now_ms(), self.runtime.settings.limits.ttl_ms
        pending = self.runtime.store.book.pending.values()
        return any(expired(item, now_ms=now_ms, ttl_ms=ttl_ms) for item in pending)

    def announce(self) -> None:
        """Tell the sessions, and end those, that a new book concerns."""
        book = self.runtime.store.book
        if book is self.announced:
            return
        old, self.announced = self.announced, book
        now_ms, ttl_ms = self.runtime.now_ms(), self.runtime.settings.limits.ttl_ms
        for happened in differences(old, book, now_ms=now_ms, ttl_ms=ttl_ms):
            self._tell(happened, now_ms)

    def _tell(self, happened: BookEvent, now_ms: int) -> None:
        hub = self.runtime.hub
        match happened:
            case Ended(device_id, role):
                count = hub.end_device(device_id, role=role)
                logger.info(
                    "device %s lost its %s; %d connections ended",
                    device_id[:12],
                    f"{role} token" if role else "record",
                    count,
                )
            case Requested(item):
                self.upgrades.began(item)
                body = EventBody("device.pair.requested", codec.dump(item))
                hub.broadcast(body, about=item.device_id)
                logger.info("device %s asks to pair: %s", item.device_id[:12], item.request_id)
            case Renamed(device_id):
                hub.broadcast(EventBody("device.pair.changed", {}), about=device_id)
            case Resolved(item, decision, reason):
                self.upgrades.ended(Outcome(item, decision, reason))
                self.tell_resolved(item.request_id, item.device_id, decision, reason)
                logger.info("pairing request %s: %s", item.request_id, reason or decision)

    def tell_resolved(
        self, request_id: str, device_id: str, decision: str, reason: str | None = None
    ) -> None:
        """Broadcast ``device.pair.resolved``."""
        payload = {"requestId": request_id, "deviceId": device_id, "decision": decision}
        extra = {"reason": reason} if reason else {}
        body = EventBody("device.pair.resolved", payload | {"ts": self.runtime.now_ms()} | extra)
        self.runtime.hub.broadcast(body, about=device_id)


def _apply(runtime: Runtime, transitions: list[Transition]) -> list[Any]:
    return runtime.store.apply(transitions, now_ms=runtime.now_ms())


def _check(runtime: Runtime) -> None:
    runtime.store.check(now_ms=runtime.now_ms())


def _flush(runtime: Runtime) -> None:
    runtime.store.flush(now_ms=runtime.now_ms())
