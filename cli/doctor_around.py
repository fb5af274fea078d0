"""What is around the gateway: its service, who has its port, the proxies before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import evolve

from cli.place import Place
from stores.checks.exposure import published_port
from stores.checks.finding import Finding, Scene, Severity

if TYPE_CHECKING:
    from cli.service.systemd import UnitState
    from cli.service.verdict import Finding as Verdict

#: Troubles of a service that concern somebody only who has one.
_OF_A_UNIT = ("unit-masked", "unit-stale", "no-linger", "no-user-manager", "no-bus-package")
_OF_THE_PORT = ("port-of-another-unit", "port-of-another-user", "port-of-another-program")
#: A gateway of this machine answers sooner, s.
_ANSWERS_WITHIN_S = 1.0
_TITLES = {
    "unit-masked": "The gateway's service is masked",
    "unit-stale": "The gateway's service is set up for another version, or was changed by hand",
    "no-linger": "The gateway's service stops when its user logs out",
    "no-user-manager": "The gateway's service cannot run: its user has no service manager",
    "no-bus-package": "The gateway's service cannot run: a package is missing",
    "port-of-another-unit": "Another service has the gateway's port",
    "port-of-another-user": "Another user has the gateway's port",
    "port-of-another-program": "Another program has the gateway's port",
}


def service(scene: Scene, here: Place) -> Iterator[Finding]:
    """Yield what is wrong with the service, if there is one, and who else has the port."""
    from cli.service.report import unit_report  # late, as below: the check itself needs it alone
    from cli.service.service import service_here
    from cli.service.verdict import judge

    for system in (False, True):
        mine = service_here(here, system=system)
        if system and mine.present() is None:
            break
        report = unit_report(mine)
        facts = report.facts
        # who has the port counts without systemd, too, and in the home of somebody else
        anyway = evolve(facts, systemd=True, manager=True, home_owner=facts.user)
        port = [one for one in judge(anyway) if str(one.trouble) in _OF_THE_PORT]
        unit = [one for one in report.findings if str(one.trouble) in _OF_A_UNIT]
        if facts.installed:
            yield from map(_told, unit)
            yield from _failed(scene, report.state, system=system)
        if not system:
            yield from (_of_the_port(one, facts.port) for one in port)
    if _in_container() and scene.loaded is not None:
        bind = scene.loaded.config.gateway.bind
        if bind not in ("loopback", "auto"):
            yield published_port(f"the gateway is in a container, and gateway.bind is {bind}")


def _failed(scene: Scene, state: UnitState, *, system: bool) -> Iterator[Finding]:
    """Yield that systemd gave the service up; one that was stopped by hand is as it should be."""
    alive = scene.running is not None and scene.running.alive
    if state.active == "failed" and not alive:
        code = "" if state.exit_status is None else f", exit code {state.exit_status}"
        yield Finding(
            id="service-failed",
            severity=Severity.ERROR,
            title="The gateway's service failed and is not tried again; starting it tells why",
            saw=f"systemd says {state.result or 'failed'}{code}",
            command=scene.command(f"gateway start{' --system' if system else ''}"),
        )


def _told(one: Verdict) -> Finding:
    name = str(one.trouble)
    return Finding(
        id=name,
        severity=Severity.ERROR if name in _OF_THE_PORT else Severity.WARNING,
        title=_TITLES[name],
        saw=one.problem,
        command=one.command,
    )


def _of_the_port(one: Verdict, port: int | None) -> Finding:
    """Return that somebody has the port; of who only passes it on to a gateway, that it is so."""
    from cli.health_probe import lives  # late, both: the port is seldom somebody else's
    from stores.serving import gateway_on

    told = _told(one)
    if port is None or told.id == "port-of-another-unit" or gateway_on(port) is not None:
        return told
    if not lives(port, within_s=_ANSWERS_WITHIN_S):
        return told
    return Finding(
        id="port-passed-on",
        severity=Severity.INFO,
        title="A gateway answers through a program that passes its port on, as a container's is",
        saw=one.problem.partition(";")[0],
        command="docker exec CONTAINER openclaw doctor",
    )


def _in_container() -> bool:
    return any(os.path.exists(one) for one in ("/.dockerenv", "/run/.containerenv"))


def proxies(scene: Scene) -> Iterator[Finding]:
    """Yield what `openclaw doctor proxy` finds."""
    if scene.loaded is None:
        return
    from cli.explain_peer import machine_names
    from cli.proxy_findings import findings_of, reports_of
    from stores.peers_seen import FILE_NAME, PeersSeen, read_peers

    peers = read_peers(scene.paths.logs_dir / FILE_NAME) or PeersSeen()
    gateway = scene.loaded.config.gateway
    reports = reports_of(peers, gateway, machine_names(), now_ms=scene.now_ms)
    for one in findings_of(peers, reports, gateway):
        yield Finding(
            id=one.id,
            severity=Severity.WARNING if one.severity == "warning" else Severity.INFO,
            title=_PROXY_TITLES.get(one.id, "A proxy is set up in a way that may not be meant"),
            saw=f"{one.seen}; {one.sentence}",
            command=one.command or scene.command("doctor proxy"),
            security=one.id in _PROXY_SECURITY,
        )


_PROXY_TITLES = {
    "untrusted-proxy": "Something sends proxy headers and is not a trusted proxy",
    "client-network-in-trusted-proxies": "The gateway trusts a whole network to be proxies",
    "real-ip-only": "A trusted proxy sends X-Real-IP only",
    "names-nobody": "A trusted proxy names no client",
    "appended": "A trusted proxy passes on what clients write",
    "proxy-forwards-nothing": "A proxy seems to forward no client address",
    "docker-proxy": "Browsers come through a published port",
    "plain-forwarder": "Connections come through a forwarder that names nobody",
    "lost-upgrade": "A proxy drops the Upgrade header of WebSockets",
    "never-matched": "A trusted proxy was never seen",
}
_PROXY_SECURITY = (
    "client-network-in-trusted-proxies",
    "appended",
    "untrusted-proxy",
    "never-matched",
)
