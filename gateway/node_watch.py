"""What other programs decide about nodes in the files: noticed, told, and put into force.

`openclaw nodes` decides in the files while the gateway is stuck, or when it is told to; a node that
is connected meanwhile must not go on as if nothing had happened.
"""

from __future__ import annotations

import logging

import trio

from gateway.node_arrival import note_store, tell_resolved, withdraw
from gateway.runtime import Runtime
from stores.errors import StoreError
from stores.nodes import NodeBook

logger = logging.getLogger("gateway.nodes")

#: Time between two looks at the files, s. Polled, as those of the devices are.
LOOK_EVERY_S = 0.7


async def watch_nodes(runtime: Runtime) -> None:
    """Serve for ever: look at the files of the node store again and again."""
    while True:
        await trio.sleep(LOOK_EVERY_S)
        await look(runtime)


async def look(runtime: Runtime) -> None:
    """Look at the files of the node store; what cannot be read is logged, what was known stays."""

    def read() -> list[tuple[NodeBook, NodeBook]]:
        runtime.nodes.store.read(now_ms=runtime.now_ms())
        return runtime.nodes.store.changes_by_others()

    try:
        changes = await runtime.in_thread(read)
    except StoreError as error:
        note_store(runtime, error)
        return
    note_store(runtime, None)
    for old, new in changes:
        await _take_in(runtime, old, new)


async def _take_in(runtime: Runtime, old: NodeBook, new: NodeBook) -> None:
    for request_id, request in old.pending.items():
        if request_id in new.pending:
            continue
        was, now = old.paired.get(request.node_id), new.paired.get(request.node_id)
        tell_resolved(runtime, request, "rejected" if now is None or now == was else "approved")
    for node_id, record in old.paired.items():
        if record.surface and node_id not in new.paired:
            logger.info("commands of node %s: approved no more", node_id[:12])
            await withdraw(runtime, node_id)
