"""`openclaw nodes invoke`: ask one node one thing, and print what it answers."""

from __future__ import annotations

import json
import uuid
from typing import Any

import click

from cli.device_road import NODE_LIST, items_of
from cli.node_road import LiveRoad, find_node
from cli.output import json_text, say
from cli.place import TargetOptions, target_options
from stores.errors import UsageError

#: Time for the node's answer when none is named, ms; the gateway's own default.
DEFAULT_TIMEOUT_MS = 30_000

#: What the way to the gateway and back may take besides, ms.
ROAD_MS = 5_000


@click.command("invoke")
@click.option("--node", required=True, metavar="NODE", help="Its id, 8 characters of it, or name.")
@click.option("--command", required=True, metavar="NAME", help="What it shall do: system.which.")
@click.option("--params", metavar="JSON", help="What goes with the command.")
@click.option(
    "--timeout-ms",
    "node_timeout_ms",
    type=click.IntRange(1, 3_600_000),
    metavar="N",
    help="How long the node may take.  [default: 30000]",
)
@click.option("--idempotency-key", metavar="KEY", help="Asked twice under it, it is done once.")
@target_options
def invoke(  # one parameter an option, as click hands them over
    *,
    options: TargetOptions,
    node: str,
    command: str,
    params: str | None,
    node_timeout_ms: int | None,
    idempotency_key: str | None,
) -> None:
    """Ask a node to do something, and print what it answers."""
    asked: dict[str, Any] = {"command": command}
    if params is not None:
        asked["params"] = _parsed(params)
    if node_timeout_ms is not None:
        asked["timeoutMs"] = node_timeout_ms
    asked["idempotencyKey"] = idempotency_key or str(uuid.uuid4())
    road = LiveRoad(options)
    listed = items_of(road.ask(NODE_LIST, {}), "nodes")
    asked["nodeId"] = find_node(listed, node)["nodeId"]
    wait_ms = (node_timeout_ms or DEFAULT_TIMEOUT_MS) + ROAD_MS
    answer = road.ask("node.invoke", asked, at_least_ms=wait_ms)
    say(json_text(answer if options.as_json else answer.get("payload")))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"--params is not JSON: {error}", remedy="""write it as `--params '{"bins": ["sh"]}'`"""
        ) from error
