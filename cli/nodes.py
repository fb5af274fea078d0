"""`openclaw nodes`: which nodes there are, what of them waits, and what they can do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.device_road import items_of, offline_option
from cli.device_table import wall_ms
from cli.main import LateGroup
from cli.node_road import COMMANDS, NodeRoad, find_node
from cli.output import json_text, note, printable, say, styled, table
from cli.place import TargetOptions, target_options
from cli.typed import program_words
from stores.errors import UsageError, UserFacingError
from stores.timespan import in_words, ms_of


@click.group(
    "nodes",
    cls=LateGroup,
    table={
        "list": ("cli.nodes:list_nodes", "Show what waits for approval, and every node."),
        "status": ("cli.nodes:status", "Show which nodes are connected, and what they can do."),
        "describe": ("cli.nodes:describe", "Show everything about one node."),
        "pending": ("cli.nodes:pending", "Show what of nodes waits for approval."),
        "approve": ("cli.node_decide:approve", "Approve what waits of a node."),
        "reject": ("cli.node_decide:reject", "Turn down what waits of a node."),
        "rename": ("cli.node_decide:rename", "Give a node a name of yours."),
        "remove": ("cli.node_decide:remove", "Take the approval of a node's commands away."),
        "invoke": ("cli.node_invoke:invoke", "Ask a node to do something."),
    },
)
def nodes() -> None:
    """List the nodes, approve what they may be asked, and ask them.

    A node is approved twice: the device (`openclaw devices approve`), then its commands.
    """


@click.command("list")
@click.option("--connected", is_flag=True, help="Only nodes that are connected.")
@click.option("--last-connected", metavar="SPAN", help="Only nodes seen within SPAN, as 24h.")
@offline_option
@target_options
def list_nodes(
    *, options: TargetOptions, connected: bool, last_connected: str | None, offline: bool
) -> None:
    """Show what waits for approval, and every node."""
    within_ms = _span(last_connected)
    road = NodeRoad(options, offline=offline)
    waiting = road.pending()
    found = _chosen(road.listing(), connected=connected, within_ms=within_ms)
    if options.as_json:
        say(json_text({"nodes": found, "pending": waiting} | road.source))
        return
    paired = sum(node.get("paired") is True for node in found)
    say(f"Pending: {len(waiting)} · Paired: {paired}")
    if waiting:
        _tell_pending(waiting)
    _tell_nodes(found)


@click.command("status")
@click.option("--connected", is_flag=True, help="Only nodes that are connected.")
@click.option("--last-connected", metavar="SPAN", help="Only nodes seen within SPAN, as 24h.")
@offline_option
@target_options
def status(
    *, options: TargetOptions, connected: bool, last_connected: str | None, offline: bool
) -> None:
    """Show which nodes are connected, and what they can do."""
    within_ms = _span(last_connected)
    answer = NodeRoad(options, offline=offline).listing()
    found = _chosen(answer, connected=connected, within_ms=within_ms)
    if options.as_json:
        say(json_text(answer | {"nodes": found}))
        return
    here = str(sum(node.get("connected") is True for node in found))
    say(f"Known: {len(found)} · Connected: {here if _tells_connected(answer) else '?'}")
    _tell_nodes(found)


@click.command("describe")
@click.argument("node")
@offline_option
@target_options
def describe(*, options: TargetOptions, node: str, offline: bool) -> None:
    """Show everything about one node.

    NODE is its id, 8 characters of it, or its name.
    """
    road = NodeRoad(options, offline=offline)
    found = find_node(road.nodes(), node)
    answer = road.describe(str(found["nodeId"]))
    if options.as_json:
        say(json_text(answer))
        return
    say("\n".join(_card(answer)))


@click.command("pending")
@offline_option
@target_options
def pending(*, options: TargetOptions, offline: bool) -> None:
    """Show what of nodes waits for approval."""
    road = NodeRoad(options, offline=offline)
    waiting = road.pending()
    if options.as_json:
        say(json_text({"pending": waiting} | road.source))
    elif waiting:
        _tell_pending(waiting)
    else:
        say("Nothing of a node waits for approval.")


def _span(text: str | None) -> int | None:
    if text is None:
        return None
    found = ms_of(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no span of time", remedy="write it as `--last-connected 24h`"
        )
    return found


def _chosen(
    answer: Mapping[str, Any], *, connected: bool, within_ms: int | None
) -> list[dict[str, Any]]:
    every = items_of(answer, "nodes")
    if connected and not _tells_connected(answer):
        raise UserFacingError(
            "only the gateway knows which nodes are connected",
            remedy="leave out `--connected`, or see `openclaw gateway status`",
        )
    since_ms = 0 if within_ms is None else wall_ms() - within_ms
    return [
        node
        for node in every
        if (node.get("connected") is True or not connected) and _seen_ms(node) >= since_ms
    ]


def _tells_connected(answer: Mapping[str, Any]) -> bool:
    return answer.get("source") != "files"


def _seen_ms(node: Mapping[str, Any]) -> int:
    if node.get("connected") is True:
        return wall_ms()
    at = node.get("lastConnectedAtMs", node.get("lastSeenAtMs"))
    return at if type(at) is int else 0


def _tell_pending(waiting: list[dict[str, Any]]) -> None:
    say(styled(f"Pending ({len(waiting)})", "bold", sys.stdout))
    for item in waiting:
        of = _name(item)
        if item.get("approval") == COMMANDS:
            wants = ", ".join(_texts(item.get("commands"))) or "no command"
            say(printable(f"  {of}: its commands wait ({wants})", limit=2_000))
        else:
            say(f"  {of}: the device waits; its commands are asked about once it is in")
        say(printable(f"      {item.get('command')}"))


def _tell_nodes(found: list[dict[str, Any]]) -> None:
    if not found:
        note(
            "No node is paired. Start one with the gateway's token, then see `openclaw nodes list`."
        )
        return
    now_ms = wall_ms()
    rows = [
        (
            _name(node),
            printable(str(node.get("nodeId", "?"))[:12]),
            str(node.get("platform", "-")),
            _presence(node, now_ms),
            str(node.get("approvalState", "-")),
            str(len(_texts(node.get("commands")))),
        )
        for node in found
    ]
    say(table(("NAME", "NODE", "PLATFORM", "CONNECTED", "COMMANDS ARE", "NUMBER"), rows))


def _presence(node: Mapping[str, Any], now_ms: int) -> str:
    if node.get("connected") is True:
        return "yes" if node.get("paired") is True else "yes, not paired"
    at = _seen_ms(node)
    return f"{in_words(now_ms - at)} ago" if at else "never"


#: What is no fact about a node, or always the same.
_NOT_ON_CARD = frozenset({"ts", "sessionHost", "nodePluginTools", "source", "store"})


def _card(node: Mapping[str, Any]) -> Iterator[str]:
    yield _name(node)
    for key, value in node.items():
        if key in _NOT_ON_CARD or value in ([], {}):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield printable(f"  {key}: {text}", limit=4_000)
    if node.get("approvalState") == "pending-approval" and node.get("pendingRequestId"):
        code = printable(str(node["pendingRequestId"]))
        yield f"  Let operators use its commands: {program_words()} nodes approve {code}"


def _name(item: Mapping[str, Any]) -> str:
    name = item.get("label") or item.get("displayName")
    return printable(str(name or str(item.get("nodeId", "?"))[:12]), limit=64)


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
