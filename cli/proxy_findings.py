"""What there is to say about the proxies that a gateway has seen, and about the list it trusts.

Pure: what was seen and the configuration come in, findings go out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from ipaddress import ip_address

from attrs import field, frozen

from gateway.policy.hops import Explanation, explain_address, rule_text, trusting, trusting_only
from gateway.policy.walk import ForwardingHeaders, HopVerdict, IPAddress, IPNetwork, rule_for
from stores.config.model import GatewayConfig
from stores.config.proxies import is_client_network, is_too_wide, width_words
from stores.owner import owner_words
from stores.peers_seen import PeersSeen, Sample, Seen, Shape
from stores.timespan import in_words

#: Below it are the users that services run as.
FIRST_PERSON_UID = 1000
_SNIPPETS = "docs/how-to/reverse-proxy.md shows how"


class Severity(StrEnum):
    """How much a finding matters; only a warning counts as a problem."""

    WARNING = "warning"
    NOTE = "note"


@frozen
class Finding:
    """One thing to say: what was seen, what to do, and the one command if there is one."""

    id: str
    severity: Severity
    seen: str
    sentence: str
    command: str | None = None
    peer: str | None = None


@frozen
class PeerReport:
    """One peer: every shape of connection from it, and what one of its samples comes to."""

    peer: IPAddress
    trusted_by: IPNetwork | None
    shapes: tuple[tuple[Seen, Explanation], ...] = field(repr=False)
    now_ms: int = 0

    def of(self, shape: Shape) -> list[tuple[Seen, Explanation]]:
        """Return the entries of one shape."""
        return [pair for pair in self.shapes if pair[0].shape is shape]


def reports_of(
    peers: PeersSeen, gateway: GatewayConfig, machine_names: Collection[str], *, now_ms: int
) -> list[PeerReport]:
    """Judge what was seen by the configuration in force, peer by peer, the latest seen first."""
    found: dict[str, list[tuple[Seen, Explanation]]] = {}
    for one in peers.seen:
        found.setdefault(one.peer, []).append((one, explained(one, gateway, machine_names)))
    return [
        PeerReport(
            ip_address(peer),
            rule_for(ip_address(peer), gateway.trusted_proxies),
            tuple(shapes),
            now_ms,
        )
        for peer, shapes in found.items()
    ]


def explained(one: Seen, gateway: GatewayConfig, machine_names: Collection[str]) -> Explanation:
    """Explain the newest sample that names a client, else the newest, as `gateway explain` would."""
    newest = list(reversed(one.samples)) or [Sample()]
    ways = [_explained(one, sample, gateway, machine_names) for sample in newest]
    return next((how for how in ways if not how.address.unattributable), ways[0])


def _explained(
    one: Seen, sample: Sample, gateway: GatewayConfig, machine_names: Collection[str]
) -> Explanation:
    read = {"x-forwarded-for", "x-real-ip", "forwarded"}
    headers = ForwardingHeaders(
        forwarded_for=sample.forwarded_for,
        forwarded=("?",) if "forwarded" in one.headers else (),
        real_ip=sample.real_ip,
        other=tuple(name for name in one.headers if name not in read),
    )
    return explain_address(
        ip_address(one.peer),
        headers,
        gateway.trusted_proxies,
        allow_real_ip=gateway.allow_real_ip_fallback,
        host=sample.host,
        origin=sample.origin,
        machine_names=machine_names,
    )


def findings_of(
    peers: PeersSeen, reports: Sequence[PeerReport], gateway: GatewayConfig
) -> list[Finding]:
    """Return all findings, warnings first."""
    trusted = gateway.trusted_proxies
    found = [
        finding for report in reports for finding in _about_peer(report, reports, peers, trusted)
    ]
    found += _about_entries(reports, trusted)
    return sorted(found, key=lambda one: one.severity is Severity.NOTE)


def _about_peer(
    report: PeerReport,
    reports: Sequence[PeerReport],
    peers: PeersSeen,
    trusted: Sequence[IPNetwork],
) -> Iterator[Finding]:
    forwarded = report.of(Shape.FORWARDED)
    if forwarded and report.trusted_by is None:
        yield _untrusted(report, forwarded, reports, trusted)
    elif forwarded:
        yield from _about_headers(report, forwarded)
    for seen, explanation in report.of(Shape.FOREIGN_HOST):
        yield _forwards_nothing(report, seen, explanation, trusted)
        break  # one proxy serves many names, and one setting helps them all
    if others := report.of(Shape.OTHER_USER):
        yield _of_other_user(report, others, trusted)
    if plain := report.of(Shape.LOOPBACK_HOST):
        yield _published_port(report, plain, peers)
    if lost := report.of(Shape.LOST_UPGRADE):
        yield Finding(
            "lost-upgrade",
            Severity.WARNING,
            f"{_times(report, lost)} a WebSocket handshake from {report.peer} without its Upgrade or "
            "Connection header",
            "let the proxy pass both on (nginx: `proxy_http_version 1.1`, `proxy_set_header "
            f"Upgrade $http_upgrade`, `proxy_set_header Connection upgrade`); {_SNIPPETS}",
            peer=str(report.peer),
        )


def _untrusted(
    report: PeerReport,
    forwarded: list[tuple[Seen, Explanation]],
    reports: Sequence[PeerReport],
    trusted: Sequence[IPNetwork],
) -> Finding:
    peer = report.peer
    names = ", ".join(sorted({name for seen, _ in forwarded for name in seen.headers})[:6])
    seen = (
        f"{_times(report, forwarded)} {peer} sent {names}, and it is not in gateway.trustedProxies"
    )
    if peer.is_global:
        return Finding(
            "untrusted-proxy",
            Severity.NOTE,
            seen,
            "only if it is a proxy of yours, trust it; anybody else who sends such headers makes "
            "them up, and is treated as remote all the same",
            trusting(trusted, peer),
            str(peer),
        )
    return Finding(
        "untrusted-proxy",
        Severity.WARNING,
        seen,
        "if it is your proxy, trust it, so that the gateway sees the clients behind it",
        trusting_only(_aim(reports, trusted)),
        str(peer),
    )


def _about_headers(
    report: PeerReport, forwarded: list[tuple[Seen, Explanation]]
) -> Iterator[Finding]:
    peer = str(report.peer)
    nameless = [
        (seen, how)
        for seen, how in forwarded
        if how.address.unattributable and not _is_own_client(how)
    ]
    real_ip = [(seen, how) for seen, how in nameless if "x-real-ip" in seen.headers]
    if real_ip:
        yield Finding(
            "real-ip-only",
            Severity.WARNING,
            f"{_times(report, real_ip)} {peer} sent X-Real-IP, and no X-Forwarded-For that names a client",
            f"let it send X-Forwarded-For ({_SNIPPETS}), or read X-Real-IP where that is missing",
            "openclaw config set gateway.allowRealIpFallback true",
            peer,
        )
    rest = [pair for pair in nameless if pair not in real_ip]
    if rest:
        names = ", ".join(rest[0][0].headers[:6])
        yield Finding(
            "names-nobody",
            Severity.WARNING,
            f"{_times(report, rest)} {peer} sent {names}, and none of it names a client",
            f"let it send X-Forwarded-For with the client's address; {_SNIPPETS}",
            peer=peer,
        )
    appended = [(seen, how) for seen, how in forwarded if _hops_left(how)]
    if appended:
        client = appended[0][1].address.client
        yield Finding(
            "appended",
            Severity.NOTE,
            f"{_times(report, appended)} {peer} passed on hops left of the client {client}",
            "they are not believed: either the client wrote them (let the proxy overwrite "
            f"X-Forwarded-For; {_SNIPPETS}), or {client} is a proxy of yours that is not listed",
            peer=peer,
        )


def _is_own_client(how: Explanation) -> bool:
    """Tell whether what was sent names this machine itself: a client beside the proxy."""
    hops = [hop.address for walk in how.walks for hop in walk.hops]
    return any(address is not None and address.is_loopback for address in hops)


def _hops_left(how: Explanation) -> bool:
    last = how.walks[-1] if how.walks else None
    return last is not None and last.client is not None and bool(last.left)


def _forwards_nothing(
    report: PeerReport, seen: Seen, explanation: Explanation, trusted: Sequence[IPNetwork]
) -> Finding:
    listed = report.trusted_by is not None
    more = "" if listed else ", and trust it"
    return Finding(
        "proxy-forwards-nothing",
        Severity.WARNING,
        f"{_times(report, [(seen, explanation)])} {report.peer} asked for the Host {explanation.host} and "
        "forwarded no client address",
        f"if that is a proxy, let it send X-Forwarded-For ({_SNIPPETS}){more}; if you use that "
        "name on this machine yourself, connect to 127.0.0.1 instead; if you do not know the name, "
        "a web page tried DNS rebinding, and nothing is to do",
        None if listed else trusting(trusted, report.peer),
        str(report.peer),
    )


def _of_other_user(
    report: PeerReport, others: list[tuple[Seen, Explanation]], trusted: Sequence[IPNetwork]
) -> Finding:
    owners = {one.owner for seen, _ in others for one in seen.samples if one.owner is not None}
    users = ", ".join(owner_words(uid) for uid in sorted(owners)) or "another user"
    # programs of people ask for themselves, services mostly for others
    of_service = any(uid < FIRST_PERSON_UID for uid in owners)
    listed = report.trusted_by is not None
    return Finding(
        "proxy-forwards-nothing",
        Severity.WARNING if of_service else Severity.NOTE,
        f"{_times(report, others)} a program of {users} connected from {report.peer} and forwarded "
        "no client address",
        f"if that is a proxy, let it send X-Forwarded-For ({_SNIPPETS})"
        f"{'' if listed else ', and trust it'}; a program of a person of this machine is approved once "
        "like any other device",
        None if listed else trusting(trusted, report.peer),
        str(report.peer),
    )


def _published_port(
    report: PeerReport, plain: list[tuple[Seen, Explanation]], peers: PeersSeen
) -> Finding:
    peer, rule = str(report.peer), report.trusted_by
    severity = Severity.NOTE if rule is None else Severity.WARNING
    if peer not in peers.default_gateways:
        listed = "" if rule is None else f", so {rule_text(rule)} in it has no effect here"
        return Finding(
            "plain-forwarder",
            severity,
            f"{_times(report, plain)} {peer} forwarded nothing, for clients that speak to loopback",
            "it passes bytes on and names nobody: gateway.trustedProxies is for proxies that send "
            f"X-Forwarded-For{listed}; approve its devices once",
            "openclaw devices list",
            peer,
        )
    listed = "" if rule is None else f" ({rule_text(rule)} in gateway.trustedProxies)"
    return Finding(
        "docker-proxy",
        severity,
        f"{_times(report, plain)} {peer}, the default gateway of the gateway's own network, forwarded "
        "nothing, for clients that speak to loopback: a published port",
        f"docker-proxy sends no X-Forwarded-For; this setting{listed} has no effect: let browsers "
        "of the host in with `--auto-approve published-port` of `gateway run`, or approve each "
        "device once",
        "openclaw gateway run --auto-approve published-port",
        peer,
    )


def _about_entries(
    reports: Sequence[PeerReport], trusted: Sequence[IPNetwork]
) -> Iterator[Finding]:
    forwarding, wide = _forwarding(reports), _wide(trusted)
    narrowed = trusting_only(_aim(reports, trusted))
    for network in wide:
        inside = [str(peer) for peer in forwarding if rule_for(peer, [network])]
        from_it = f"of it, {', '.join(inside)} forwarded" if inside else "nobody in it forwarded"
        yield Finding(
            "client-network-in-trusted-proxies",
            Severity.WARNING,
            f"gateway.trustedProxies lists {network}; {from_it}",
            width_words(network) or "list only the proxies themselves",
            narrowed,
        )
    matched = set(_matched(reports))
    for network in trusted:
        if reports and network not in matched and network not in wide:
            yield Finding(
                "never-matched",
                Severity.NOTE,
                f"gateway.trustedProxies lists {rule_text(network)}, and no connection through it "
                "was seen",
                "remove it if there is no proxy any more",
                trusting_only([rule_text(one) for one in trusted if one != network]),
            )


def _forwarding(reports: Sequence[PeerReport]) -> list[IPAddress]:
    return [report.peer for report in reports if report.of(Shape.FORWARDED)]


def _wide(trusted: Sequence[IPNetwork]) -> list[IPNetwork]:
    return [one for one in trusted if is_client_network(one) or is_too_wide(one)]


def _aim(reports: Sequence[PeerReport], trusted: Sequence[IPNetwork]) -> list[str]:
    """Return the one list that all advice leads to: what one command set the next would undo."""
    forwarding = _forwarding(reports)
    kept = _narrowed(trusted, _wide(trusted), forwarding)
    near = [str(one) for one in forwarding if not (one.is_global or rule_for(one, trusted))]
    return list(dict.fromkeys([*kept, *near]))


def _narrowed(
    trusted: Sequence[IPNetwork], wide: Sequence[IPNetwork], forwarding: Sequence[IPAddress]
) -> list[str]:
    """Return the entries with each that is too wide replaced by the proxies seen in it."""
    entries: dict[str, None] = {}
    for network in trusted:
        inside = [str(peer) for peer in forwarding if rule_for(peer, [network])]
        entries |= dict.fromkeys(inside if network in wide else [rule_text(network)])
    return list(entries)


def _matched(reports: Sequence[PeerReport]) -> Iterator[IPNetwork]:
    for report in reports:
        if report.trusted_by is not None:
            yield report.trusted_by
        for _, how in report.shapes:
            for walk in how.walks:
                for hop in walk.hops:
                    if hop.verdict is HopVerdict.TRUSTED and hop.rule is not None:
                        yield hop.rule


def _times(report: PeerReport, pairs: Sequence[tuple[Seen, Explanation]]) -> str:
    count = sum(seen.count for seen, _ in pairs)
    last_ms = max(seen.last_ms for seen, _ in pairs)
    times = "once" if count == 1 else f"{count} times, last"
    return f"{times} {in_words(report.now_ms - last_ms)} ago,"
