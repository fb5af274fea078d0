"""`openclaw nodes approve`, `reject`, `rename` and `remove`."""

from __future__ import annotations

from typing import Any

import click

from cli.device_road import offline_option, without_store
from cli.node_road import COMMANDS, NodeRoad, find_node, find_pending
from cli.output import json_text, printable, say
from cli.place import TargetOptions, target_options
from cli.typed import program_words


@click.command("approve")
@click.argument("request")
@offline_option
@target_options
def approve(*, options: TargetOptions, request: str, offline: bool) -> None:
    """Approve what waits of a node: the device itself, or its commands.

    REQUEST is the code that `openclaw nodes pending` shows, or the node's id or 8 characters of it.
    """
    road = NodeRoad(options, offline=offline)
    item = find_pending(road.pending(), request)
    of_commands = item["approval"] == COMMANDS
    answer = road.decide("approve", item)
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    node_id = printable(str(item.get("nodeId", "?")))
    code = printable(str(answer.get("requestId", item["requestId"])))
    if not of_commands:
        say(f"Approved the device {node_id} ({code})")
        pending = f"{program_words()} nodes pending"
        say(f"  It gets in at its next try; then its commands wait: `{pending}`.")
        return
    approved = answer.get("node")
    told: dict[str, Any] = approved if isinstance(approved, dict) else {}
    commands = told.get("commands")
    named = ", ".join(map(str, commands)) if isinstance(commands, list) else ""
    say(f"Approved the commands of {node_id} ({code})")
    say(printable(f"  {named or 'none'}", limit=2_000))


@click.command("reject")
@click.argument("request")
@offline_option
@target_options
def reject(*, options: TargetOptions, request: str, offline: bool) -> None:
    """Turn down what waits of a node; it asks again when it connects.

    REQUEST is the code that `openclaw nodes pending` shows, or the node's id or 8 characters of it.
    """
    road = NodeRoad(options, offline=offline)
    item = find_pending(road.pending(), request)
    answer = road.decide("reject", item)
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    say(printable(f"Rejected {item.get('nodeId', '?')} ({item['requestId']})"))


@click.command("rename")
@click.argument("node")
@click.argument("name")
@offline_option
@target_options
def rename(*, options: TargetOptions, node: str, name: str, offline: bool) -> None:
    """Give a node a name of yours.

    NODE is its id, 8 characters of it, or the name it has.
    """
    road = NodeRoad(options, offline=offline, falls_back=False)
    found = find_node(road.nodes(), node)
    answer = road.rename(str(found["nodeId"]), name)
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    say(printable(f"{found['nodeId']} is called {answer.get('displayName', name)}", limit=200))


@click.command("remove")
@click.argument("node")
@offline_option
@target_options
def remove(*, options: TargetOptions, node: str, offline: bool) -> None:
    """Take the approval of a node's commands away; the device stays paired.

    NODE is its id, 8 characters of it, or its name.
    """
    road = NodeRoad(options, offline=offline, falls_back=False)
    found = find_node(road.nodes(), node)
    answer = road.remove(str(found["nodeId"]))
    if options.as_json:
        say(json_text(without_store(answer)))
        return
    node_id = printable(str(found["nodeId"]))
    say(f"The commands of {node_id} are approved no more")
    forget = f"{program_words()} devices remove {node_id}"
    say(f"  It stays paired; to forget the device too: {forget}")
