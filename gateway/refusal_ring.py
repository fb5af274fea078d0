"""The last refused connections, so that a refusal can be asked again after it was made.

Rule: who proves nothing costs no disk. Equal refusals of one client are one entry and a count, and
the file is written at most once a second, by a worker thread.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field

from gateway.log import escape_control
from stores.errors import StoreError
from stores.refusal_ring import MAX_ENTRIES, Entry, read_refusals, write_refusals

if TYPE_CHECKING:
    from gateway.runtime import InThread

logger = logging.getLogger("gateway.ws")

#: Equal refusals of one client within this of the first are one entry, as they are one log line.
SAME_WITHIN_MS = 30_000

#: Entries of one client: who proves nothing cannot push everybody else's out.
MAX_PER_CLIENT = 20

#: The file is written at most this often, and counts alone only this often.
WRITE_EVERY_S = 1.0
COUNTS_EVERY_S = 10.0

#: Log lines of one entry whose connections are remembered: their ids are what people ask with.
MAX_CONNECTIONS = 10

MAX_TEXT = 2_000
FLUSH_WITHIN_S = 2.0

Key = tuple[object, ...]


@define(eq=False)
class RefusalRing:
    """The newest refusals, and the file they are in.

    Args:
        clean: Takes secrets out of what a client said.
    """

    clean: Callable[[str], str] = str
    _entries: OrderedDict[Key, Entry] = field(factory=OrderedDict)
    _since_ms: dict[Key, int] = field(factory=dict)
    _unwritten: bool = False
    _news: trio.Event = field(factory=trio.Event)
    _complained: str = ""

    def add(self, group: str, entry: Mapping[str, Any], *, now_ms: int, logged: bool) -> None:
        """Keep one refusal.

        Args:
            group: What counts as one client, such as its address.
            entry: All of it but its times and its count; ``connId``, ``code`` and ``closeReason``
                or ``httpStatus`` say what it is.
            logged: Whether the log has a line of this very connection.
        """
        said = self._harmless(entry)
        client = said.get("client")
        sort = (said.get("code"), said.get("closeReason"), said.get("httpStatus"))
        programs = client.values() if isinstance(client, dict) else ()
        key: Key = (group, *sort, said.get("deviceId"), *programs)
        known = self._entries.pop(key, None)
        again = known is not None and now_ms - self._since_ms[key] < SAME_WITHIN_MS
        at, conn_id = _time(now_ms), said["connId"]
        first: Entry = {"ts": at, "lastTs": at, "count": 1, "connId": conn_id, "connIds": []}
        if known is not None and again:
            first |= {"ts": known["ts"], "count": known["count"] + 1, "connIds": known["connIds"]}
        else:
            self._since_ms[key] = now_ms
            self._keep_former(key, known)
        if logged and conn_id not in first["connIds"]:
            first["connIds"] = [*first["connIds"], conn_id][-MAX_CONNECTIONS:]
        # The newest facts: a client that was corrected between two knocks is told of as it is now.
        self._entries[key] = first | said
        self._unwritten = True
        if not again:
            self._make_room(group)
            self._news.set()

    def listing(self) -> list[Entry]:
        """Return the refusals, newest first."""
        return list(reversed(self._entries.values()))

    async def keep_written(
        self, file: Path, in_thread: InThread, *, each_round: Callable[[], None]
    ) -> None:
        """Serve for ever: write what is new soon, and counts now and then; the last ones at the end.

        Args:
            each_round: Called about every ten seconds and with each write.
        """
        try:
            await self._load(file, in_thread)
            while True:
                with trio.move_on_after(COUNTS_EVERY_S):
                    await self._news.wait()
                await self._flush(file, in_thread)
                each_round()
                await trio.sleep(WRITE_EVERY_S)
        finally:
            with trio.move_on_after(FLUSH_WITHIN_S, shield=True):
                await self._flush(file, in_thread)

    async def _load(self, file: Path, in_thread: InThread) -> None:
        try:
            found: list[Entry] = await in_thread(read_refusals, file)
        except StoreError as error:
            logger.warning("earlier refusals cannot be read: %s", error)
            return
        newer = self._entries
        self._entries = OrderedDict((("file", number), one) for number, one in enumerate(found))
        self._entries.update(newer)
        self._make_room("")

    async def _flush(self, file: Path, in_thread: InThread) -> None:
        self._news = trio.Event()
        if not self._unwritten:
            return
        self._unwritten = False
        try:
            await in_thread(partial(write_refusals, file, list(self._entries.values())))
            self._complained = ""
        except StoreError as error:
            self._unwritten = True
            if str(error) != self._complained:
                self._complained = str(error)
                logger.warning("refusals are not kept: %s", error)

    def _keep_former(self, key: Key, known: Entry | None) -> None:
        if known is not None:
            former: Key = (key[0], "former", known["ts"], known["connId"])
            self._entries[former] = known

    def _make_room(self, group: str) -> None:
        own = [key for key in self._entries if key[0] == group]
        for key in own[: max(0, len(own) - MAX_PER_CLIENT)]:
            self._forget(key)
        while len(self._entries) > MAX_ENTRIES:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: Key) -> None:
        del self._entries[key]
        self._since_ms.pop(key, None)

    def _harmless(self, value: Any) -> Any:
        """Return JSON with every text in it cut, printable and without secrets."""
        match value:
            case str():
                text = value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "..."
                return escape_control(self.clean(text))
            case Mapping():
                return {
                    key: self._harmless(item) for key, item in value.items() if item is not None
                }
            case list() | tuple():
                return [self._harmless(item) for item in value[:MAX_CONNECTIONS]]
            case _:
                return value


def _time(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
