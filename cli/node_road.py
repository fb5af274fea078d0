"""What is known of nodes, as the `nodes` commands ask for it: both approvals in one list.

Rule: as with devices. `list`, `status`, `describe`, `pending`, `approve` and `reject` go on to the
files of this machine where the gateway does not help, and say so; the others name `--offline`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from attrs import define, field

from cli.device_road import LIST, NODE_LIST, DeviceRoad, items_of
from cli.output import printable
from cli.place import TIMEOUT_MS, TargetOptions
from cli.typed import program_words
from stores.errors import UserFacingError
from stores.request_id import plain_id

if TYPE_CHECKING:
    from cli.offline import Files
    from cli.road import Road

#: Fewer characters of a node id name no node.
MIN_PREFIX = 8

#: The command that shows what became of a request.
LISTER = "openclaw nodes list"

#: The two things an operator approves of a node: the device itself, then what it may be asked.
DEVICE, COMMANDS = "device", "commands"


class NodeRoad:
    """The way to the nodes that a command's words ask for; one that led on is stayed on.

    Args:
        falls_back: Whether the files may stand in for a gateway that does not help.
    """

    def __init__(
        self, options: TargetOptions, *, offline: bool = False, falls_back: bool = True
    ) -> None:
        self._devices = DeviceRoad(
            options, offline, falls_back, folders=("devices", "nodes"), lister=LISTER
        )
        #: Which road was taken, and the store it led to.
        self.source: dict[str, Any] = {}

    def ask(
        self,
        method: str,
        params: Mapping[str, Any],
        in_files: Callable[[Files], dict[str, Any]],
    ) -> dict[str, Any]:
        """Return the answer of the gateway, or of the files, with ``source`` and ``store``."""
        answer = self._devices.ask(method, params, in_files)
        self.source = {key: answer[key] for key in ("source", "store") if key in answer}
        return answer

    def listing(self) -> dict[str, Any]:
        """Return the list of nodes, with ``source`` and ``store``."""
        return self.ask(NODE_LIST, {}, _in_files("listed"))

    def nodes(self) -> list[dict[str, Any]]:
        """Return every node."""
        return items_of(self.listing(), "nodes")

    def describe(self, node_id: str) -> dict[str, Any]:
        """Return everything about one node."""
        return self.ask("node.describe", {"nodeId": node_id}, _in_files("described", node_id))

    def decide(self, verb: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """Approve or reject what waits of a node, as `pending` tells of it."""
        request_id = str(item["requestId"])
        if item["approval"] == COMMANDS:
            in_files, method = _in_files(verb, request_id), f"node.pair.{verb}"
        else:
            in_files = methodcaller(verb, request_id)
            method = f"device.pair.{verb}"
        return self.ask(method, {"requestId": request_id}, in_files)

    def rename(self, node_id: str, name: str) -> dict[str, Any]:
        """Give a node a name."""
        params = {"nodeId": node_id, "displayName": name}
        return self.ask("node.rename", params, _in_files("rename", node_id, name))

    def remove(self, node_id: str) -> dict[str, Any]:
        """Take the approval of a node's commands away."""
        return self.ask("node.pair.remove", {"nodeId": node_id}, _in_files("remove", node_id))

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits of nodes: devices that ask to be nodes, then commands of nodes.

        Each with ``approval``, which of the two it is, and ``command``, which approves it.
        """
        devices = items_of(self.ask(LIST, {}, lambda files: files.list()), "pending")
        commands = items_of(self.ask("node.pair.list", {}, _in_files("waiting")), "pending")
        found = [
            {"nodeId": item.get("deviceId"), "approval": DEVICE} | item | _approves("devices", item)
            for item in devices
            if "node" in (item.get("roles") or [item.get("role")])
        ]
        return found + [
            {"approval": COMMANDS} | item | _approves("nodes", item) for item in commands
        ]


def _in_files(name: str, *words: str) -> Callable[[Files], dict[str, Any]]:
    def asked(files: Files) -> dict[str, Any]:
        from cli import node_files  # late: while the gateway answers, nobody opens a store

        found: dict[str, Any] = getattr(node_files, name)(files, *words)
        return found

    return asked


@define(eq=False)
class LiveRoad:
    """The way to the gateway itself, for what no file can answer; found once."""

    options: TargetOptions
    _road: Road | None = field(default=None, init=False)

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


def _approves(group: str, item: Mapping[str, Any]) -> dict[str, str]:
    return {"command": f"{program_words()} {group} approve {item.get('requestId', '?')}"}


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
