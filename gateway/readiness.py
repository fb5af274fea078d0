"""Whether devices can be decided about: the store is in order and writable, the configuration good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio
from attrs import define, field, frozen

from stores.errors import StoreError
from stores.files import stage_file

if TYPE_CHECKING:
    from gateway.runtime import Runtime

#: Whether the store can be written is tried once in this time at most: strangers may ask.
TRY_WRITE_EVERY_S = 5.0

#: Bytes of the trial: an empty file is made on a full disk too.
TRIAL = b"\0" * 4096


@frozen
class Fault:
    """What keeps the gateway from being ready; ``name`` is one of store, config, store-write."""

    name: str
    where: str
    problem: str
    remedy: str | None


@define(eq=False)
class Readiness:
    """Whether devices can be decided about; the trial of the disk is shared by all who ask."""

    _tried_s: float = float("-inf")
    _unwritable: StoreError | None = None
    _one_at_a_time: trio.Lock = field(factory=trio.Lock)

    async def failing(self, runtime: Runtime) -> list[Fault]:
        """Return what fails now."""
        async with self._one_at_a_time:
            if trio.current_time() - self._tried_s >= TRY_WRITE_EVERY_S:
                self._unwritable = await runtime.in_thread(_try_to_write, runtime.paths.devices_dir)
                self._tried_s = trio.current_time()
        found = [
            Fault("store", f"{one.file} {one.path}", one.problem, one.remedy)
            for one in runtime.store.problems
        ]
        if runtime.config_problem is not None:
            path, problem = str(runtime.loaded.path), runtime.config_problem
            found.append(Fault("config", path, problem, runtime.config_remedy))
        if self._unwritable is not None:
            folder, error = str(runtime.paths.devices_dir), self._unwritable
            found.append(Fault("store-write", folder, error.problem, error.remedy))
        return found


def _try_to_write(folder: Path) -> StoreError | None:
    """Return why nothing can be written there, or None; leaves nothing behind."""
    if not folder.exists():  # made with the first device
        folder = folder.parent
    try:
        # Under this name the next writer of the store sweeps up what a kill leaves of it.
        stage_file(folder / "paired.json", TRIAL, durable=False).discard()
    except StoreError as error:
        return error
    return None
