"""What else a status points out: two configurations, several secrets, a service that stops at logout.

Rule: judged from gathered facts alone, each remark with the one command that settles it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from attrs import evolve, frozen

from cli.service.verdict import Trouble
from cli.status_aim import Configured
from cli.status_facts import StatusFacts
from cli.typed import typable
from cli.whose import in_full
from stores.config.in_use import Why
from stores.running import Running
from stores.target import PORT_FLAG

#: Findings of the service that the verdicts tell already, or that nobody asked about.
_NOT_REPEATED = frozenset(
    {
        Trouble.NOT_SYSTEMD,
        Trouble.NO_USER_MANAGER,
        Trouble.NO_BUS_PACKAGE,
        Trouble.FOREIGN_HOME,
        Trouble.UNIT_MISSING,
        Trouble.PORT_OF_FOREGROUND,
        Trouble.PORT_OF_UNIT,
        Trouble.PORT_OF_USER,
        Trouble.PORT_OF_PROGRAM,
    }
)


@frozen
class Remark:
    """One thing that is off without keeping anybody out; ``kind`` is for programs."""

    kind: str
    problem: str
    remedy: str | None = None

    def as_typed(self) -> Remark:
        """Return it with its command as it is typed here."""
        return evolve(self, remedy=typable(self.remedy)) if self.remedy else self

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {"kind": self.kind, "problem": self.problem, "remedy": self.remedy}


def remarks(facts: StatusFacts) -> list[Remark]:
    """Return what is off, what keeps the gateway from its configuration first."""
    own = [
        *_of_config(facts),
        *_of_two_configs(facts),
        *_of_secrets(facts),
        *_of_server(facts),
        *_of_service(facts),
    ]
    elsewhere = () if facts.aim.local else ("config-refused",)  # as the gateway there says it
    return [one if one.kind in elsewhere else one.as_typed() for one in own]


def _of_config(facts: StatusFacts) -> Iterator[Remark]:
    configured = facts.aim.configured
    if configured.problem is not None:
        kind, problem = _why_not_in_force(configured)
        yield Remark(
            kind,
            f"{problem}; this looked with {configured.stand_in}",
            in_full(configured.problem.remedy, f"{facts.openclaw} gateway status", facts.here.env),
        )
    ignored = configured.loaded.ignored_path
    if ignored is not None:
        path = configured.loaded.path
        yield Remark(
            "config-ignored",
            f"{path} is in force, {ignored} is ignored",
            f"make one of them with `{facts.openclaw} config convert`",
        )
    for text in facts.aim.losing:
        yield Remark("variable-unused", text)


def _why_not_in_force(configured: Configured) -> tuple[str, str]:
    assert configured.problem is not None
    problem = configured.problem.problem
    if configured.lost:
        return "config-lost", problem
    if configured.why is Why.OTHER_FILE:
        return "config-of-gateway", problem
    return "config-unusable", f"the configuration on disk cannot be used: {problem}"


def _of_two_configs(facts: StatusFacts) -> Iterator[Remark]:
    aim = facts.aim
    own, running = str(aim.configured.path), aim.running
    if not aim.local:
        return
    if running is not None and running.alive:
        yield from _of_running(facts, running, own)
    service = facts.unit.config_path if facts.unit else None
    other = running is None or not running.alive or running.config_path != service
    if service is not None and service != own and other:
        assert facts.unit is not None
        named = f"OPENCLAW_CONFIG_PATH={shlex.quote(service)}"
        if facts.unit.state_dir not in (None, str(facts.here.paths.state_dir)):
            named = f"OPENCLAW_STATE_DIR={shlex.quote(str(facts.unit.state_dir))}"
        yield Remark(
            "config-of-service",
            f"this command uses {own}, the service another configuration: {service}",
            f"look with that one: `{named} openclaw gateway status`",
        )


def _of_running(facts: StatusFacts, running: Running, own: str) -> Iterator[Remark]:
    aim = facts.aim
    if aim.configured.lost or aim.configured.why is Why.OTHER_FILE:
        return  # said already; what else differs comes from that, and its advice would do harm
    if running.config_path not in (None, own):
        path = shlex.quote(str(running.config_path))
        yield Remark(
            "config-of-gateway",
            f"this command uses {own}, the running gateway another configuration: "
            f"{running.config_path}",
            f"look with that one: `OPENCLAW_CONFIG_PATH={path} openclaw gateway status`",
        )
    elif aim.configured.problem is None and running.config_digest not in (
        None,
        aim.configured.loaded.digest,
    ):
        yield Remark(
            "config-not-loaded",
            f"{own} was changed, and the running gateway has not taken it in",
            f"let it, and read why not, with `{facts.openclaw} gateway reload`",
        )
    port = aim.port
    if aim.configured.problem is not None:
        return  # a command that writes into the file is no advice while that is broken
    told = "gateway.port" in _waiting(facts)  # which the gateway says itself
    if port is not None and running.port not in (None, port.number) and not told:
        restart = f"let it move there with `{facts.openclaw} gateway restart`"
        name = f"let all see it: `{facts.openclaw} config set gateway.port {running.port}`"
        by_flag = running.port_source == PORT_FLAG  # which a restart keeps
        configured = aim.configured.loaded.config.gateway.port is not None and not by_flag
        yield Remark(
            "port-differs",
            f"the gateway listens on port {running.port}, but other commands look on "
            f"{port.number} ({port.source})",
            restart if configured else f"{name}, or start it without `--port`" if by_flag else name,
        )


def _of_secrets(facts: StatusFacts) -> Iterator[Remark]:
    if facts.secrets_differ:
        count = len({one.fingerprint for one in facts.secrets})
        yield Remark("secrets-differ", f"{count} different secrets are named; see below")


def _of_server(facts: StatusFacts) -> Iterator[Remark]:
    server = facts.knock.server if facts.knock else {}
    keys = ", ".join(_waiting(facts))
    if keys:
        yield Remark(
            "restart-required",
            f"counts only from the next start: {keys}",
            f"restart it with `{facts.openclaw} gateway restart`",
        )
    problem = server.get("configProblem")
    if isinstance(problem, str) and facts.aim.configured.problem is None:
        remedy = server.get("configRemedy")
        yield Remark(
            "config-refused",
            f"the gateway runs on earlier settings: {problem}",
            remedy if isinstance(remedy, str) else None,
        )
    broken = server.get("storeProblems")
    if isinstance(broken, int) and broken:
        yield Remark(
            "store",
            f"the device store has {broken} problem{'s' if broken > 1 else ''}",
            f"see what and why with `{facts.openclaw} devices verify`",
        )


def _waiting(facts: StatusFacts) -> list[str]:
    """Return the keys that count only from the next start, as the gateway says."""
    keys = facts.knock.server.get("restartRequired") if facts.knock else None
    return list(map(str, keys)) if isinstance(keys, list) else []


def _of_service(facts: StatusFacts) -> Iterator[Remark]:
    unit = facts.unit
    if unit is None or not unit.installed:
        return
    for secret in unit.secrets:
        yield Remark(
            "secret-in-unit",
            f"a secret stands in the unit: {secret.source}",
            f"take the line out of that file, then `{facts.openclaw} gateway install`",
        )
    for finding in unit.report.findings:
        if finding.trouble not in _NOT_REPEATED:
            yield Remark(str(finding.trouble), finding.problem, finding.remedy)
