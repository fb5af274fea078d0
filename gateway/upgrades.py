"""What became of pending requests: for sessions that wait for it, and for those that ask just after."""

from __future__ import annotations

import trio
from attrs import define, field, frozen

from stores.records import PendingRequest
from stores.request_id import plain_id

#: Ends that are remembered, the oldest go first: who asked for something waits, or asks at once.
REMEMBERED = 256


@frozen
class Outcome:
    """How a request ended, and why where there is more to say than the decision."""

    item: PendingRequest
    decision: str
    reason: str | None = None

    @property
    def superseded(self) -> bool:
        """Whether nobody decided: its device asked for more, in another request."""
        return self.reason == "superseded"


@define(eq=False)
class _Wait:
    event: trio.Event = field(factory=trio.Event)
    outcome: Outcome | None = None


@define(eq=False)
class Upgrades:
    """The ends of the latest requests, by id in any spelling, and who waits for one."""

    _ended: dict[str, Outcome] = field(factory=dict)
    _waits: dict[str, _Wait] = field(factory=dict)

    def began(self, item: PendingRequest) -> None:
        """Forget how the same wish ended before: it has the same id again."""
        self._ended.pop(plain_id(item.request_id), None)

    def ended(self, outcome: Outcome) -> None:
        """Remember how a request ended, and tell who waits."""
        key = plain_id(outcome.item.request_id)
        self._ended.pop(key, None)
        self._ended[key] = outcome
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        wait = self._waits.pop(key, None)
        if wait is not None:
            wait.outcome = outcome
            wait.event.set()

    def of(self, reference: str) -> Outcome | None:
        """Return how a request ended; None while it waits, or if that was long ago."""
        return self._ended.get(plain_id(reference))

    async def decided(self, item: PendingRequest) -> Outcome:
        """Wait for the end of a request that was announced and waits."""
        wait = self._waits.setdefault(plain_id(item.request_id), _Wait())
        await wait.event.wait()
        assert wait.outcome is not None
        return wait.outcome
