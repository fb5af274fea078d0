"""Who was here and when, remembered until the next write of the records."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from attrs import define, field


@define(eq=False)
class Contacts:
    """The latest contact of each (device id, role), epoch ms.

    Blocks on nothing but another thread's few instructions: an event loop may note and look.
    """

    _latest: dict[tuple[str, str], int] = field(factory=dict)
    _mutex: threading.Lock = field(factory=threading.Lock)

    def __bool__(self) -> bool:
        return bool(self._latest)

    def note(self, device_id: str, role: str, *, at_ms: int) -> None:
        """Remember that a device was here."""
        with self._mutex:
            self._latest[(device_id, role)] = at_ms

    def waiting(self) -> Mapping[tuple[str, str], int]:
        """Return what is not written yet."""
        with self._mutex:
            return dict(self._latest)

    def take(self) -> dict[tuple[str, str], int]:
        """Return what is to be written now, and forget it."""
        with self._mutex:
            taken, self._latest = self._latest, {}
        return taken

    def give_back(self, taken: Mapping[tuple[str, str], int]) -> None:
        """Remember again what could not be written; what was noted meanwhile is newer."""
        with self._mutex:
            self._latest = {**taken, **self._latest}
