"""`openclaw gateway explain`: who a connection would be, and why, without making one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from cli.output import json_text, printable, say
from cli.place import place
from cli.typed import as_typed, told_here, typable
from stores.errors import UsageError

if TYPE_CHECKING:
    from gateway.policy.hops import Explanation
    from gateway.policy.origin import OriginVerdict
    from gateway.policy.walk import IPAddress, Walk
    from stores.config.model import GatewayConfig

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*?)[ \t]*", re.DOTALL)
_LABEL_WIDTH = 8
_MOST_SHOWN = 8


@frozen
class Step:
    """What to do about it: a sentence, and the one command if there is one."""

    sentence: str
    command: str | None = None


@click.command("explain")
@click.option("--peer", required=True, metavar="ADDR", help="Who would connect: an IP address.")
@click.option(
    "--header",
    "lines",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="A header it would send; may be given again.",
)
@click.option("--host", metavar="HOST", help="Its Host header (127.0.0.1 and the port in force).")
@click.option("--origin", metavar="ORIGIN", help="Its Origin header; only browsers send one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    *, peer: str, lines: tuple[str, ...], host: str | None, origin: str | None, as_json: bool
) -> None:
    """Tell which client the gateway would see, whether it is local, and why; asks no gateway."""
    from gateway.policy.hops import explain_address  # late, as the rest: `run` needs none of it
    from gateway.policy.walk import ForwardingHeaders
    from stores.config.load import load_config
    from stores.target import resolve_port

    address, headers = _address(peer), [_header(line) for line in lines]
    here = place()
    loaded = load_config(here.paths, here.env)
    gateway = loaded.config.gateway
    if host is None:
        port = resolve_port(loaded, here.env, default=here.paths.default_port).number
        host = _value(headers, "host") or f"127.0.0.1:{port}"
    origin = _value(headers, "origin") if origin is None else origin
    explained = explain_address(
        address,
        ForwardingHeaders.from_headers(headers),
        gateway.trusted_proxies,
        allow_real_ip=gateway.allow_real_ip_fallback,
        host=host,
        origin=origin,
        machine_names=machine_names(),
    )
    verdict = _judge(explained, gateway)
    step = next_step(explained, verdict, gateway)
    if as_json:
        say(json_text(_as_json(explained, verdict, step)))
        return
    for line in _lines(explained, verdict, step):
        say(printable(line))


def machine_names() -> frozenset[str]:
    """Return this machine's own names, as the gateway knows them."""
    import os  # late, both: `run` needs neither here
    import socket

    names = {socket.gethostname(), os.uname().nodename}
    return frozenset(name.lower().rstrip(".") for name in names if name)


def _address(text: str) -> IPAddress:
    try:
        return ip_address(text.strip().removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        raise UsageError(
            f"--peer: {text!r} is not an IP address",
            remedy="write it like `openclaw gateway explain --peer 192.168.0.10`",
        ) from None


def _header(line: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None or "\n" in match[2] or "\r" in match[2]:
        raise UsageError(
            f"--header: {line!r} is not a header line",
            remedy="write it like `--header 'X-Forwarded-For: 203.0.113.9'`",
        )
    return match[1], match[2]


def _value(headers: Sequence[tuple[str, str]], name: str) -> str | None:
    values = [value for key, value in headers if key.lower() == name]
    return ", ".join(values) if values else None


def _judge(explained: Explanation, gateway: GatewayConfig) -> OriginVerdict:
    from gateway.policy.origin import judge_origin  # late: see `explain`

    return judge_origin(
        explained.origin,
        explained.host,
        client_id="",
        client_mode="",
        allowed_origins=gateway.control_ui.allowed_origins,
        public_origin=gateway.public_origin,
        machine_names=machine_names(),
        peer_is_loopback=explained.address.direct_loopback,
    )


def next_step(explained: Explanation, verdict: OriginVerdict, gateway: GatewayConfig) -> Step:
    """Return what stands in the way first, and the narrowest command that helps."""
    from gateway.policy.address import LocalityReason  # late, as the next: see `explain`
    from gateway.policy.hops import trusting
    from gateway.policy.origin import parse_origin

    address = explained.address
    if not verdict.allowed:
        page = parse_origin(explained.origin)
        command = None if page is None else _allowing(gateway, page.text)
        return Step(
            "the page is refused before any record is made; allow its origin if it is yours",
            command,
        )
    if address.untrusted_proxy:
        return Step(
            f"the gateway cannot see who is behind {address.peer}; trust it if it is a proxy of "
            "yours (a new device waits for approval all the same)",
            trusting(gateway.trusted_proxies, address.peer),
        )
    if address.unattributable:
        if explained.headers.real_ip and not gateway.allow_real_ip_fallback:
            return Step(
                "let the proxy send X-Forwarded-For, or read X-Real-IP where that is missing",
                "openclaw config set gateway.allowRealIpFallback true",
            )
        return Step("let the proxy send X-Forwarded-For with the client's address")
    if explained.why in (LocalityReason.HOST, LocalityReason.ORIGIN):
        return Step(
            "let the proxy send X-Forwarded-For, or, without a proxy, connect to 127.0.0.1; as it "
            "is, a new device waits for approval",
            "openclaw devices list",
        )
    if explained.may_be_local and gateway.pairing.auto_approve_local:
        return Step("nothing: with the shared secret a new device is let in unasked")
    named = _rule_for(explained, gateway)
    if named is not None:
        return Step(
            f"with the shared secret the rule {named} of gateway.pairing.autoApprove lets a new "
            "device in, as far as its roles and scopes go"
        )
    if explained.address.peer.is_private and _speaks_to_loopback(explained):
        return Step(
            "it looks like a browser behind a published port of a container, which forwards "
            "nothing: a new device waits for approval once, unless --auto-approve published-port "
            "lets it in",
            "openclaw gateway run --auto-approve published-port",
        )
    proxied = " (a trusted proxy names the client, it does not skip approval)"
    covering = _rules_with(address.client, gateway) if address.forwarded else []
    if covering:
        proxied += f"; the rule {covering[0]} covers {address.client}, but no rule is for what a "
        proxied += "proxy forwarded"
    return Step(
        f"a new device waits for approval once{proxied if address.forwarded else ''}",
        "openclaw devices list",
    )


def _rule_for(explained: Explanation, gateway: GatewayConfig) -> str | None:
    """Return the name of the rule for the network that a direct connection comes from."""
    address = explained.address
    if address.forwarded or address.peer.is_loopback or explained.trusted_by is not None:
        return None
    return next(iter(_rules_with(address.peer, gateway)), None)


def _rules_with(address: IPAddress, gateway: GatewayConfig) -> list[str]:
    rules = gateway.pairing.auto_approve
    return [one.name for one in rules if not isinstance(one.source, str) and address in one.source]


def _speaks_to_loopback(explained: Explanation) -> bool:
    from gateway.policy.origin import is_loopback_host, parse_host, parse_origin  # late

    host, page = parse_host(explained.host), parse_origin(explained.origin)
    if explained.address.forwarded or explained.address.peer.is_loopback or host is None:
        return False
    return page is not None and is_loopback_host(host) and is_loopback_host(page.authority)


def _allowing(gateway: GatewayConfig, origin: str) -> str:
    from gateway.policy.seen import set_list  # late: only a page that is refused needs it

    kept = gateway.control_ui.allowed_origins
    return f"openclaw config set {set_list('gateway.controlUi.allowedOrigins', kept, origin)}"


def _as_json(explained: Explanation, verdict: OriginVerdict, step: Step) -> dict[str, Any]:
    from gateway.policy.hops import as_json  # late: see `explain`

    return as_json(explained) | {
        "host": explained.host,
        "origin": {
            "value": explained.origin,
            "allowed": verdict.allowed,
            "reason": verdict.reason,
        },
        "next": told_here({"sentence": step.sentence, "command": step.command}),
    }


def _lines(explained: Explanation, verdict: OriginVerdict, step: Step) -> Iterator[str]:
    from gateway.policy import hops  # late: see `explain`

    address = explained.address
    yield _labelled("Peer", f"{address.peer} ({hops.peer_words(explained)})")
    if explained.headers.names:
        yield _labelled("Sent", ", ".join(explained.headers.names[:_MOST_SHOWN]))
    for walk in explained.walks:
        yield from walk_lines(walk)
    yield _labelled("Client", f"{address.client} ({hops.client_words(explained)})")
    yield _labelled("Host", f"{explained.host}")
    local = "yes" if explained.may_be_local else f"no ({explained.why})"
    link = ", " if explained.may_be_local else ": "
    yield _labelled("Local", f"{local}{link}{hops.locality_words(explained)}")
    if explained.origin is None:
        yield _labelled("Origin", "none, which only browser pages must send")
    else:
        allowed = "allowed" if verdict.allowed else verdict.reason
        silent = " but never without approval" if verdict.allowed and not verdict.silent_ok else ""
        yield _labelled("Origin", f"{explained.origin}: {allowed}{silent}")
    yield _labelled("To do", typable(step.sentence))
    if step.command is not None:
        yield _labelled("Run", as_typed(step.command))


def walk_lines(walk: Walk) -> Iterator[str]:
    """Yield a walk as people read it: from the right, one line a hop."""
    from gateway.policy.hops import hop_words  # late: see `explain`

    if not walk.hops:
        yield _labelled("", f"{walk.header}: no hop in it")
        return
    yield _labelled("", f"{walk.header}, from the right:")
    for hop in walk.hops[:_MOST_SHOWN]:
        yield _labelled("", f"  {hop.text.strip()[:64]}: {hop_words(hop)}")
    if len(walk.hops) > _MOST_SHOWN:
        yield _labelled("", f"  ... and {len(walk.hops) - _MOST_SHOWN} more")
    if walk.left:
        left = ", ".join(text.strip()[:64] for text in reversed(walk.left[:3]))
        yield _labelled("", f"  {left}: not looked at, for anybody can have written that")


def _labelled(label: str, text: str) -> str:
    return f"{label:<{_LABEL_WIDTH}}{text}"
