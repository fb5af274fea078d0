"""`openclaw gateway status`: three verdicts, each with its reason and its command."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from cli.failures import DONE, FAILED, NO_GATEWAY, GatewayUnreachableError, failed_report
from cli.output import columns, json_text, note, printable, say, styled, wrapped
from cli.place import TargetOptions, place, port_option, target_options
from cli.typed import typable
from stores.errors import UsageError

if TYPE_CHECKING:
    from cli.status_facts import StatusFacts
    from cli.status_remarks import Remark
    from cli.status_verdict import Verdict

#: Names of the verdicts, as they are shown and in the order in which they depend on each other.
NAMES = ("process", "handshake", "authorisation")
_HEADS = {
    "process": "Process and port",
    "handshake": "Handshake",
    "authorisation": "Authorisation",
}
_WORDS = {True: "ok", False: "failed", None: "unknown"}
_WHERE = {"gateway-host": "on the gateway's machine", "container": "in the gateway's container"}


@frozen
class Report:
    """Facts, and what was made of them."""

    facts: StatusFacts
    verdicts: dict[str, Verdict]
    remarks: list[Remark]

    @property
    def rpc_ok(self) -> bool:
        """Tell whether a call was answered."""
        knock = self.facts.knock
        return knock is not None and knock.answer is not None

    @property
    def exit_code(self) -> int:
        """The exit code with ``--require-rpc``."""
        if self.rpc_ok and self.verdicts["authorisation"].good:
            return DONE
        knock = self.facts.knock
        silent = knock is not None and isinstance(knock.error, GatewayUnreachableError)
        return NO_GATEWAY if silent else FAILED


def report_of(options: TargetOptions, *, dials: bool = True, system: bool = False) -> Report:
    """Look at everything and judge it."""
    from cli.status_authorisation import judge_authorisation  # late, all: they load a lot
    from cli.status_facts import gather
    from cli.status_handshake import judge_handshake
    from cli.status_process import judge_process
    from cli.status_remarks import remarks

    facts = gather(options, place(), dials=dials, system=system)
    judges = (judge_process, judge_handshake, judge_authorisation)
    verdicts = {name: judge(facts) for name, judge in zip(NAMES, judges, strict=True)}
    return Report(facts, verdicts, remarks(facts))


@click.command("status")
@click.option(
    "--require-rpc",
    "--check",
    "require_rpc",
    is_flag=True,
    help="Exit with 1 if the gateway did not answer a call, with 3 if nobody answered.",
)
@click.option("--no-probe", is_flag=True, help="Look at files and processes only; dial nothing.")
@click.option("--system", is_flag=True, help="The service of the machine, not of a user.")
@click.option("--deep", is_flag=True, hidden=True)
@port_option
@target_options
@click.pass_context
def status(
    context: click.Context,
    *,
    options: TargetOptions,
    require_rpc: bool,
    no_probe: bool,
    system: bool,
    deep: bool,
) -> None:
    """Tell whether the gateway runs, answers, and lets this command in; works in every state.

    For example: openclaw gateway status --require-rpc
    """
    if require_rpc and no_probe:
        raise UsageError(
            "--require-rpc and --no-probe contradict each other", remedy="leave one of them out"
        )
    if deep:
        note("note: --deep has no effect: everything is looked at anyway")
    report = report_of(options, dials=not no_probe, system=system)
    if options.as_json:
        said = as_json(report)
        say(json_text(_as_failure(report, said) if require_rpc and report.exit_code else said))
    else:
        for line in lines_of(report, width=_width_to_fit()):
            say(line)
    if require_rpc:
        context.exit(report.exit_code)


def _as_failure(report: Report, said: dict[str, Any]) -> dict[str, Any]:
    """Return a report with the first verdict that is not good as its error, and say it too."""
    name, found = next(
        (each for each in report.verdicts.items() if each[1].good is False),
        ("authorisation", report.verdicts["authorisation"]),
    )
    knock = report.facts.knock
    note(printable(f"{_HEADS[name]}: {found.saw}"))
    return failed_report(
        said,
        found.saw,
        report.exit_code,
        remedy=found.remedy,
        cause=knock.error if knock else None,
    )


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as ``--json`` prints it; its keys stay."""
    from cli import published  # late, both: see `report_of`
    from cli.status_authorisation import capability

    facts = report.facts
    aim, knock = facts.aim, facts.knock
    error = knock.error if knock else None
    return {
        "ok": all(one.good is not False for one in report.verdicts.values()),
        "verdicts": {name: one.as_json() for name, one in report.verdicts.items()},
        "warnings": [one.as_json() for one in report.remarks],
        "gateway": {
            "url": aim.target.url if aim.target else None,
            "urlSource": aim.source_of_target or None,
            "credentialSource": aim.source,
            "bind": aim.running.bind if aim.running and aim.running.alive else None,
            "port": aim.target.port if aim.target else None,
            "tlsFingerprint": aim.target.tls_fingerprint if aim.target else None,
        }
        | published.gateway_keys(facts),
        "config": _configs(facts),
        "secrets": [one.as_json() for one in facts.secrets],
        "process": _process(facts),
        "port": _port(facts),
        "rpc": {
            "ok": report.rpc_ok,
            "capability": capability(facts).replace("-", "_"),
            "scopes": list(knock.scopes) if knock else [],
            "tookMs": {str(stage): ms for stage, ms in knock.took_ms.items()} if knock else {},
            "server": knock.server if knock else {},
            "error": error.problem if error else None,
            "connectFailure": {"kind": str(error.how)}
            if isinstance(error, GatewayUnreachableError)
            else None,
        }
        | published.rpc_keys(facts),
        "service": facts.unit.as_json() if facts.unit else None,
        "logFile": str(facts.here.paths.logs_dir),
    } | published.program_keys()


def _configs(facts: StatusFacts) -> dict[str, Any]:
    aim, configured = facts.aim, facts.aim.configured
    problem = configured.problem
    running = aim.running if aim.running and aim.running.alive else None
    return {
        "cli": {
            "path": str(configured.path),
            "exists": not configured.missing,
            "valid": problem is None,
            "problem": problem.problem if problem else None,
            "digest": None if problem else configured.loaded.digest,
        },
        "gateway": running and {"path": running.config_path, "digest": running.config_digest},
        "service": facts.unit and {"path": facts.unit.config_path},
    }


def _process(facts: StatusFacts) -> dict[str, Any] | None:
    running = facts.aim.running
    if running is None:
        return None
    return {
        "standing": str(running.standing),
        "pid": running.pid,
        "uid": running.uid,
        "host": running.host,
        "port": running.port,
        "version": running.version,
        "startedAtMs": running.since_ms,
    }


def _port(facts: StatusFacts) -> dict[str, Any] | None:
    target, holder = facts.aim.target, facts.aim.holder
    if target is None or not target.is_local_default:
        return None
    owner = holder and {
        "uid": holder.uid,
        "user": facts.user(holder.uid),
        "pid": holder.pid,
        "command": holder.command,
    }
    from cli.published import port_keys  # late: see `report_of`

    said = {"port": target.port, "status": "busy" if holder else "free", "owner": owner}
    return said | port_keys(facts)


def _width_to_fit() -> int | None:
    """Return how wide lines may be; None where no terminal cuts words in two."""
    return columns() if sys.stdout is not None and sys.stdout.isatty() else None


def lines_of(report: Report, *, width: int | None = None) -> Iterator[str]:
    """Yield the lines of a report.

    Args:
        width: What is longer is wrapped, the rest indented.
    """
    for line in _where(report.facts):
        yield from _fitted(line, width, "  ")
    for number, name in enumerate(NAMES, 1):
        yield from _verdict(f"{number}. {_HEADS[name]}", report.verdicts[name], width)
    for remark in report.remarks:
        for line in _fitted(typable(printable(f"Warning: {remark.problem}")), width, "  "):
            yield styled(line, "bold", sys.stdout)
        if remark.remedy:
            yield from _fitted(printable(f"  {_sentence(remark.remedy)}"), width, "  ")
    yield from secrets_of(report.facts)
    yield printable(f"File logs: {report.facts.here.paths.logs_dir}")


def _fitted(line: str, width: int | None, indent: str) -> list[str]:
    if width is None:
        return [line]
    told = line.lstrip(" ")
    lead = " " * (len(line) - len(told))
    first, *rest = wrapped(told, width - len(lead), indent=indent[len(lead) :])
    return [lead + first, *(lead + one for one in rest)]


def _where(facts: StatusFacts) -> Iterator[str]:
    from stores.config.load import InvalidConfigError  # late: see `report_of`

    aim, unit = facts.aim, facts.unit
    if unit is not None:
        yield printable(service_line(facts))
        if unit.linger is not None:
            yield f"Linger: {'yes' if unit.linger else 'no (the gateway stops at logout)'}"
    configured = aim.configured
    how = " (missing)" if configured.missing else ""
    if configured.problem is not None and not configured.missing:
        invalid = isinstance(configured.problem, InvalidConfigError)
        how = " (invalid)" if invalid else " (cannot be used)"
        how = " (not what the gateway runs with)" if configured.lost else how
    yield printable(f"Config (cli): {configured.path}{how}")
    if unit is not None and unit.config_path:
        yield printable(f"Config (service): {unit.config_path}")
    running = aim.running
    if running is not None and running.alive and aim.local:
        yield printable(f"Config (gateway): {running.config_path}")
        since = _ago(running.since_ms)
        yield printable(
            f"Gateway: bind={running.bind}, port={running.port}, version {running.version}{since}"
        )
    if aim.target is not None:
        yield printable(f"Gateway target: {aim.target.url} (Source: {aim.source_of_target})")
        pin = aim.target.tls_fingerprint
        if pin:
            from stores.fingerprint import in_pairs  # late: see `report_of`

            yield f"TLS: certificate sha256 {in_pairs(pin)}"


def service_line(facts: StatusFacts) -> str:
    """Return what is to be known of the service, on one line."""
    assert facts.unit is not None
    report = facts.unit.report
    if not report.facts.installed:
        return "Service: not installed"
    state = report.state
    enabled = state.enabled or "not asked: no service manager answers"
    active = f", {state.active} ({state.sub})" if state.active else ""
    return f"Service: {report.service.name} ({enabled}{active})"


def _verdict(head: str, found: Verdict, width: int | None) -> Iterator[str]:
    begin, word = f"{head + ':':<21}", f"{_WORDS[found.good]:<8}"
    first, *rest = _fitted(f"{begin}{word}{printable(found.saw)}", width, "   ")
    # coloured last: what colours it has no width
    shown = styled(word, "red", sys.stdout) if found.good is False else word
    yield f"{begin}{shown}{first[len(begin) + len(word) :]}"
    yield from rest
    if found.remedy is not None:
        told = [_sentence(found.remedy)]
        if found.command is not None and found.command not in found.remedy:
            told.append(f"Run {_WHERE.get(found.where, 'here')}: {found.command}")
        for line in told:
            yield from _fitted(printable(f"   {line}"), width, "   ")


def secrets_of(facts: StatusFacts) -> Iterator[str]:
    """Yield the fingerprints side by side, if two places name different secrets."""
    if not facts.secrets_differ:
        return
    yield "Secrets, by fingerprint (the same digits are the same secret):"
    for one in facts.secrets:
        used = "  <- presented" if one.presented else ""
        yield printable(f"  {one.fingerprint}  {one.place:<12}{one.source}{used}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _ago(since_ms: int | None) -> str:
    if since_ms is None:
        return ""
    from stores.timespan import in_words  # late: see `report_of`

    return f", up {in_words(time.time() * 1000 - since_ms)}"
