"""Three verdicts on a gateway, each for itself: its process and port, the handshake, the authorisation.

Rule: judged from gathered facts alone. Something that answered is never called unreachable.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from attrs import frozen

from cli.failures import Failure, GatewayUnreachableError, remedy_of
from cli.service.verdict import Trouble
from cli.status_facts import StatusFacts
from cli.status_knock import CHALLENGE_WITHIN_MS, Knock, Stage
from stores.errors import UserFacingError
from stores.owner import sudo_user
from stores.running import Running, Standing

#: Steps that come once a gateway has shown that it is one.
_AFTER = (Stage.CONNECT, Stage.RPC)

#: What is to be typed has an argument; a mere name in backticks has none.
_TYPED = re.compile(r"`([^`]+ [^`]+)`")


@frozen(kw_only=True)
class Verdict:
    """One of the three; ``good`` is None where it was not, or could not be, looked into.

    Args:
        remedy: One sentence, with the command in backticks.
        where: Where the command is typed, in the words of refusals.
    """

    good: bool | None
    saw: str
    remedy: str | None = None
    command: str | None = None
    where: str = "this-device"

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        found: dict[str, Any] = {"ok": self.good, "saw": self.saw}
        if self.remedy is not None:
            remedy = {"sentence": self.remedy, "where": self.where}
            found["remedy"] = remedy | ({"command": self.command} if self.command else {})
        return found


def verdict(good: bool | None, saw: str, remedy: str | None = None) -> Verdict:  # noqa: FBT001  # its first word
    """Return a verdict whose command is what stands first in backticks in its remedy."""
    command = _TYPED.search(remedy or "")
    return Verdict(good=good, saw=saw, remedy=remedy, command=command[1] if command else None)


def of_error(good: bool | None, error: UserFacingError, saw: str | None = None) -> Verdict:  # noqa: FBT001  # as above
    """Return a verdict in the words of a failure."""
    told = remedy_of(error) or {}
    return Verdict(
        good=good,
        saw=saw or error.problem,
        remedy=told.get("sentence"),
        command=told.get("command"),
        where=str(told.get("where", "this-device")),
    )


#: What keeps an installed service from running, so that starting it would fail.
_KEEPS_IT_DOWN = (Trouble.NO_USER_MANAGER, Trouble.NO_BUS_PACKAGE, Trouble.UNIT_MASKED)


def judge_process(facts: StatusFacts) -> Verdict:
    """Tell whether the gateway's process runs and has its port."""
    aim = facts.aim
    if aim.problem is not None:
        return of_error(None, aim.problem)
    target = aim.target
    assert target is not None
    if not target.is_local_default:
        saw = f"not looked at: {target.url} is not this machine's own gateway ({target.source})"
        return Verdict(good=None, saw=saw)
    running = aim.running
    if running is not None and running.alive:
        return _of_running(facts, running)
    if running is not None and running.standing is Standing.ELSEWHERE:
        return _of_container(facts, running)
    if aim.holder is None:
        return _nobody(facts)
    return _somebody_else(facts)


def _of_running(facts: StatusFacts, running: Running) -> Verdict:
    who = f"pid {running.pid}"
    if running.standing is Standing.STOPPED:
        return verdict(
            False,
            f"the gateway's process ({who}) is stopped by a signal, so it answers nothing",
            f"let it go on with `kill -CONT {running.pid}`",
        )
    holder, port = facts.aim.holder, running.port
    if holder is None:
        return verdict(
            False,
            f"the gateway's process runs ({who}), but nothing listens on port {port} here: it is "
            "starting or ending, or listens in another network namespace",
            f"look again in a moment; if this stays, `{facts.openclaw} gateway restart`",
        )
    own = holder.pid == running.pid or (holder.pid is None and holder.uid == running.uid)
    if not own:
        return verdict(
            False,
            f"the gateway's process runs ({who}), but port {port} is held by {holder.in_words()}",
            f"start it anew where it can listen: `{facts.openclaw} gateway restart`",
        )
    known = [who, f"user {facts.user(holder.uid)}"]
    known += [f"version {running.version}"] if running.version else []
    known += [f"bind {running.bind}"] if running.bind else []
    return Verdict(good=True, saw=f"running ({', '.join(known)}) and listening on port {port}")


def _of_container(facts: StatusFacts, running: Running) -> Verdict:
    host = running.host or "?"
    return verdict(
        None,
        f"a gateway of host or container {host} says that it serves {facts.here.paths.state_dir}; "
        "its process cannot be seen from here",
        f"ask there: `docker exec {host} openclaw gateway status`",
    )


def _nobody(facts: StatusFacts) -> Verdict:
    aim, unit = facts.aim, facts.unit
    assert aim.target is not None
    saw = f"not running: nothing listens on port {aim.target.port}"
    if aim.running is not None:
        saw += f"; the last gateway (pid {aim.running.pid}) ended without a goodbye"
    if unit is not None and unit.report.state.exit_status:
        saw += f"; the service last ended with exit code {unit.report.state.exit_status}"
    if aim.configured.problem is not None:
        return verdict(
            False,
            f"{saw}; it cannot start, for its configuration cannot be used",
            f"see what is wrong with `{facts.openclaw} config validate`",
        )
    if unit is not None and unit.installed:
        kept = next((one for one in unit.report.findings if one.trouble in _KEEPS_IT_DOWN), None)
        if kept is not None:
            return verdict(False, f"{saw}; {kept.problem}", kept.remedy)
        return verdict(False, saw, f"start the service with `{unit.command}`")
    return verdict(False, saw, f"start it with `{facts.openclaw} gateway run`")


def _somebody_else(facts: StatusFacts) -> Verdict:
    """Judge a port that a process holds which is no gateway of this state directory."""
    aim, serving = facts.aim, facts.serving
    holder, target = aim.holder, aim.target
    assert holder is not None
    assert target is not None
    unit = facts.unit.report.facts if facts.unit else None
    free = (unit.port_free if unit else None) or target.port + 10
    elsewhere = f"`{facts.openclaw} config set gateway.port {free}`"
    if holder.uid != facts.uid:
        what = "a gateway of" if serving else "a process of"
        saw = f"port {target.port} is held by {what} user {facts.user(holder.uid)}"
        if serving is not None and serving.state_dir is not None:  # root sees it, and may look
            state = shlex.quote(str(serving.state_dir))
            return verdict(
                False,
                f"{saw}, for {serving.state_dir}; this looked for that of {facts.here.paths.state_dir}",
                f"look at that one with `OPENCLAW_STATE_DIR={state} openclaw gateway status`, or "
                f"take another port with {elsewhere}",
            )
        ask = f"`sudo -iu {sudo_user(holder.uid)} openclaw gateway status`"
        path = aim.configured.loaded.path
        if aim.configured.problem is not None:
            return verdict(False, f"{saw}; {path} cannot be used", f"ask as that user: {ask}")
        return verdict(
            False,
            f"{saw}; your configuration is {path}, that program uses another one",
            f"take another port with {elsewhere}, or ask as that user: {ask}",
        )
    if serving is not None and serving.state_dir is not None:
        state = shlex.quote(str(serving.state_dir))
        return verdict(
            False,
            f"port {target.port} is held by your gateway of another state directory, "
            f"{serving.state_dir} (pid {serving.pid})",
            f"look at that one with `OPENCLAW_STATE_DIR={state} openclaw gateway status`, or give "
            f"this one another port with {elsewhere}",
        )
    return verdict(
        False,
        f"port {target.port} is held by {holder.in_words()}, which is not a gateway of "
        f"{facts.here.paths.state_dir}",
        f"end that program, or take another port with {elsewhere}",
    )


def judge_handshake(facts: StatusFacts) -> Verdict:
    """Tell whether a gateway answers at the target."""
    knock, target = facts.knock, facts.aim.target
    if target is None:
        return Verdict(good=None, saw="not tried: no target is known")
    if knock is None:
        return Verdict(good=None, saw="not tried (--no-probe)")
    if knock.shook_hands:
        return _shook(knock)
    error = knock.error
    assert isinstance(error, GatewayUnreachableError)
    if facts.aim.local and judge_process(facts).good is False:
        return Verdict(good=False, saw=error.problem)  # the first verdict says what to do
    if error.remedy is None:
        return verdict(False, error.problem, _where_to_look(facts, error))
    return of_error(False, error)


def _shook(knock: Knock) -> Verdict:
    took = sum(ms for stage, ms in knock.took_ms.items() if stage not in _AFTER)
    slow = knock.took_ms.get(Stage.CHALLENGE, 0)
    saw = f"a gateway answered ({took} ms)"
    if slow > CHALLENGE_WITHIN_MS:
        saw += f"; its challenge took {slow} ms, more than the {CHALLENGE_WITHIN_MS} it may"
    return Verdict(good=True, saw=saw)


def _where_to_look(facts: StatusFacts, error: GatewayUnreachableError) -> str:
    if not facts.aim.local:
        url = facts.aim.target.url if facts.aim.target else "URL"
        return (
            "check the address, and what stands in between, step by step: "
            f"`openclaw gateway probe --url {url}`"
        )
    if error.how is Failure.TIMEOUT:
        return f"restart it with `{facts.openclaw} gateway restart`"
    return f"go through it step by step with `{facts.openclaw} gateway probe`"
