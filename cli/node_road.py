"""What the gateway knows of nodes, as the `nodes` commands ask for it: both approvals in one list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define

from cli.output import printable
from cli.place import TIMEOUT_MS, TargetOptions
from stores.errors import UserFacingError
from stores.request_id import plain_id

if TYPE_CHECKING:
    from cli.road import Road

#: Fewer characters of a node id name no node.
MIN_PREFIX = 8

#: The two things an operator approves of a node: the device itself, then what it may be asked.
DEVICE, COMMANDS = "device", "commands"


@define(eq=False)
class NodeRoad:
    """The way to the gateway that a command's words ask for, found once."""

    options: TargetOptions
    _road: Road | None = None

    def ask(
        self, method: str, params: Mapping[str, Any], *, at_least_ms: int = 0
    ) -> dict[str, Any]:
        """Return what the gateway answers."""
        from cli.road import ask, find_road  # late: they load the configuration's reader

        if self._road is None:
            self._road = find_road(self.options)
        wait_ms = max(self.options.timeout_ms or TIMEOUT_MS, at_least_ms)
        answer = ask(self._road, method, dict(params), timeout_s=wait_ms / 1000).payload
        return answer if isinstance(answer, dict) else {}

    def nodes(self) -> list[dict[str, Any]]:
        """Return every node."""
        return dicts(self.ask("node.list", {}).get("nodes"))

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits of nodes: devices that ask to be nodes, then commands of nodes.

        Each with ``approval``, which of the two it is, and ``command``, which approves it.
        """
        devices = dicts(self.ask("device.pair.list", {}).get("pending"))
        commands = dicts(self.ask("node.pair.list", {}).get("pending"))
        found = [
            {"nodeId": item.get("deviceId"), "approval": DEVICE} | item | _approves("devices", item)
            for item in devices
            if "node" in (item.get("roles") or [item.get("role")])
        ]
        return found + [
            {"approval": COMMANDS} | item | _approves("nodes", item) for item in commands
        ]


def _approves(group: str, item: Mapping[str, Any]) -> dict[str, str]:
    return {"command": f"openclaw {group} approve {item.get('requestId', '?')}"}


def dicts(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list, whatever else was sent."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def find_node(nodes: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """Return the node that an id, the beginning of one, or a name means.

    Raises:
        UserFacingError: none answers to it, or several do.
    """
    wanted = word.strip()
    by_id = [node for node in nodes if _is_id(node, wanted)]
    found = by_id or [node for node in nodes if wanted and node.get("displayName") == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(printable(str(node.get("nodeId"))[:16]) for node in found[:5])
        raise UserFacingError(
            f"{printable(wanted, limit=64)!r} means {len(found)} nodes: {ids}",
            remedy="name one by more of its id: `openclaw nodes list`",
        )
    raise UserFacingError(
        f"no node is called {printable(wanted, limit=64)!r}",
        remedy=f"give a name, an id, or {MIN_PREFIX} characters of one; see `openclaw nodes list`",
    )


def _is_id(item: Mapping[str, Any], wanted: str) -> bool:
    node_id = str(item.get("nodeId", ""))
    return node_id == wanted or (len(wanted) >= MIN_PREFIX and node_id.startswith(wanted.lower()))


def find_pending(pending: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """Return what waits under a code, or of the node with that id or its beginning.

    A name that a node gave itself approves nothing. Of a node that waits twice the device comes
    first: its commands are asked about when it is in.

    Raises:
        UserFacingError: nothing does, or several nodes do.
    """
    plain = plain_id(word)
    found = [item for item in pending if plain_id(str(item.get("requestId", ""))) == plain]
    found = found or [item for item in pending if _is_id(item, word.strip())]
    if found and len({item.get("nodeId") for item in found}) == 1:
        return found[0]
    what = f"{len(found)} nodes wait under" if found else "nothing of a node waits under"
    raise UserFacingError(
        f"{what} {printable(word.strip(), limit=64)!r}",
        remedy="give the code of the request; see `openclaw nodes pending`",
    )
