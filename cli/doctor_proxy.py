"""`openclaw doctor proxy`: what each proxy sends, which client that comes to, and what to set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from cli.failures import FAILED, failed_report
from cli.output import json_text, note, printable, say
from cli.place import Place, place
from cli.typed import as_typed, program_words, told_here, typable
from stores.errors import ConfigError, StoreError, UsageError, UserFacingError

if TYPE_CHECKING:
    from cli.proxy_findings import Finding, PeerReport
    from stores.config.model import GatewayConfig
    from stores.peers_seen import PeersSeen, Seen


@click.command("proxy")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--lint", is_flag=True, help="Exit with 1 if there is a warning.")
@click.option("--since", metavar="SPAN", help="Leave out what was not seen for SPAN, such as 10m.")
@click.pass_context
def proxy(context: click.Context, *, as_json: bool, lint: bool, since: str | None) -> None:
    """Tell what each proxy sends, which client that comes to, and what to set."""
    from cli.explain_peer import machine_names  # late, as the rest: other checks need none of it
    from cli.proxy_findings import findings_of, reports_of
    from stores.peers_seen import PeersSeen

    here, now_ms = place(), time.time_ns() // 1_000_000
    gateway, config_problem = _configuration(here)
    peers, file_problem = _seen(here, 0 if since is None else now_ms - _span_ms(since))
    noted = PeersSeen() if peers is None else peers
    reports: list[PeerReport] = []
    findings: list[Finding] = []
    if gateway is not None:
        reports = reports_of(noted, gateway, machine_names(), now_ms=now_ms)
        findings = findings_of(noted, reports, gateway)
    problems = [one for one in (config_problem, file_problem) if one is not None]
    wrong = [one.problem for one in problems]
    wrong += [one.seen for one in findings if one.severity == "warning"]
    if as_json:
        said = _as_json(here, gateway, reports, findings, problems)
        if lint and wrong:
            said = failed_report(said, wrong[0], FAILED)
        say(json_text(said | {"noted": peers is not None}))
    else:
        for line in _lines(here, gateway, peers, reports, findings):
            say(printable(line))
    for problem in problems:
        note(printable(problem.problem))
        note(printable(f"  {problem.remedy}"))
    if lint and wrong:
        if as_json and not problems:
            note(printable(wrong[0]))
        context.exit(FAILED)


def _configuration(here: Place) -> tuple[GatewayConfig | None, UserFacingError | None]:
    from stores.config.load import load_config  # late: see `proxy`

    try:
        return load_config(here.paths, here.env).config.gateway, None
    except ConfigError as error:
        return None, error


def _seen(here: Place, since_ms: int) -> tuple[PeersSeen | None, UserFacingError | None]:
    from stores.peers_seen import FILE_NAME, read_peers  # late: see `proxy`

    try:
        peers = read_peers(here.paths.logs_dir / FILE_NAME)
    except StoreError as error:
        return None, error
    if peers is None:
        return None, None
    return evolve(peers, seen=tuple(one for one in peers.seen if one.last_ms >= since_ms)), None


def _span_ms(text: str) -> int:
    from stores.timespan import ms_of  # late: only this option needs it

    span_ms = ms_of(text)
    if span_ms is None:
        raise UsageError(
            f"--since: {text!r} is not a span of time", remedy="write it like `--since 10m`"
        )
    return span_ms


def _as_json(
    here: Place,
    gateway: GatewayConfig | None,
    reports: list[PeerReport],
    findings: list[Finding],
    problems: list[UserFacingError],
) -> dict[str, Any]:
    from gateway.policy.hops import as_json, rule_text  # late: see `proxy`
    from stores.peers_seen import FILE_NAME

    return {
        "ok": not problems and all(one.severity != "warning" for one in findings),
        "file": str(here.paths.logs_dir / FILE_NAME),
        "trustedProxies": [rule_text(one) for one in gateway.trusted_proxies] if gateway else None,
        "peers": [
            {
                "peer": str(report.peer),
                "trustedBy": None if report.trusted_by is None else rule_text(report.trusted_by),
                "shapes": [
                    {
                        "shape": str(seen.shape),
                        "headers": list(seen.headers),
                        "count": seen.count,
                        "firstSeenMs": seen.first_ms,
                        "lastSeenMs": seen.last_ms,
                        "newest": as_json(explained),
                    }
                    for seen, explained in report.shapes
                ],
            }
            for report in reports
        ],
        "findings": [
            {
                "id": one.id,
                "severity": str(one.severity),
                "peer": one.peer,
                "seen": one.seen,
                "remedy": told_here({"sentence": one.sentence, "where": "gateway-host"})
                | ({"command": as_typed(one.command)} if one.command else {}),
            }
            for one in findings
        ],
        "problems": [
            {"problem": one.problem, "remedy": typable(one.remedy or "") or None}
            for one in problems
        ],
    }


def _lines(
    here: Place,
    gateway: GatewayConfig | None,
    peers: PeersSeen | None,
    reports: list[PeerReport],
    findings: list[Finding],
) -> Iterator[str]:
    from gateway.policy.hops import rule_text  # late: see `proxy`
    from stores.peers_seen import FILE_NAME

    if gateway is not None:
        trusted = ", ".join(map(rule_text, gateway.trusted_proxies)) or "none"
        yield f"Trusted proxies: {trusted}"
    if peers is None or not peers.seen:
        file = here.paths.logs_dir / FILE_NAME
        yield f"No proxy was seen yet ({file}); send a request through it, then look again."
    for report in reports:
        yield ""
        yield from _peer_lines(report)
    for one in findings:
        yield ""
        yield f"{one.severity}: {one.id}"
        yield f"  Seen:  {one.seen}"
        yield f"  To do: {typable(one.sentence)}"
        if one.command is not None:
            yield f"  Run:   {as_typed(one.command)}"
    if sum("trustedProxies" in (one.command or "") for one in findings) > 1:
        yield ""
        yield (
            "Each command sets the whole list as it should be now: after one of them, run "
            f"{program_words()} doctor proxy again."
        )
    if reports and not findings:
        yield ""
        yield "Nothing to set right."


def _peer_lines(report: PeerReport) -> Iterator[str]:
    from cli.explain_peer import walk_lines  # late, both: see `proxy`
    from gateway.policy.hops import client_words, rule_text

    rule = report.trusted_by
    known = "not in gateway.trustedProxies" if rule is None else f"trusted by {rule_text(rule)}"
    yield f"Peer {report.peer} ({known})"
    for seen, explained in report.shapes:
        yield f"  {seen.count}x {_shape_words(seen)}, {_when(seen)}"
        for walk in explained.walks:
            for line in walk_lines(walk):
                yield (
                    f"    {line.strip()}"
                    if line.rstrip().endswith(":")
                    else f"      {line.strip()}"
                )
        if seen.headers:
            yield f"    client {explained.address.client} ({client_words(explained)})"


def _shape_words(seen: Seen) -> str:
    from stores.owner import owner_words  # late: see `proxy`

    host = seen.samples[-1].host if seen.samples else None
    match str(seen.shape):
        case "forwarded":
            return f"sent {', '.join(seen.headers)}"
        case "lost-upgrade":
            return "a WebSocket handshake without its Upgrade or Connection header"
        case "other-user":
            owner = seen.samples[-1].owner if seen.samples else None
            who = "another user" if owner is None else f"user {owner_words(owner)}"
            return f"forwarded nothing, Host {host}, by a program of {who}"
        case _:
            return f"forwarded nothing, Host {host}"


def _when(seen: Seen) -> str:
    from datetime import UTC, datetime  # late: see `proxy`

    def shown(ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")

    first, last = shown(seen.first_ms), shown(seen.last_ms)
    return last if first == last else f"{first} to {last}"
