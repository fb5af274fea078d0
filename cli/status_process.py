"""The first verdict on a gateway: whether its process runs, and who has its port.

Rule: judged from gathered facts alone, like the other two.
"""

from __future__ import annotations

import shlex

from cli.service.verdict import Trouble
from cli.status_facts import StatusFacts
from cli.status_verdict import Verdict, of_error, verdict
from stores.owner import sudo_user
from stores.port_owner import PortOwner
from stores.running import Running, Standing
from stores.serving import Serving

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
    serving = facts.serving
    # one of our own user whose process is hidden may be any
    if serving is not None and (serving.state_dir is not None or serving.uid != facts.uid):
        return _of_another_gateway(facts, serving)
    if facts.knock is not None and facts.knock.shook_hands:
        return _through_another(facts)
    if aim.holder is None:
        return _nobody(facts)
    return _of_another_program(facts, aim.holder)


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


def _of_another_gateway(facts: StatusFacts, serving: Serving) -> Verdict:
    """Judge a port that a gateway holds which is not of this state directory."""
    aim, port = facts.aim, serving.port
    elsewhere = f"`{facts.openclaw} config set gateway.port {_free_port(facts, port)}`"
    if serving.uid == facts.uid:
        state = shlex.quote(str(serving.state_dir))
        return verdict(
            False,
            f"port {port} is held by your gateway of another state directory, "
            f"{serving.state_dir} (pid {serving.pid})",
            f"look at that one with `OPENCLAW_STATE_DIR={state} openclaw gateway status`, or give "
            f"this one another port with {elsewhere}",
        )
    saw = f"port {port} is held by a gateway of user {facts.user(serving.uid)}"
    if serving.state_dir is not None:  # root sees it, and may look
        state = shlex.quote(str(serving.state_dir))
        return verdict(
            False,
            f"{saw}, for {serving.state_dir}; this looked for that of {facts.here.paths.state_dir}",
            f"look at that one with `OPENCLAW_STATE_DIR={state} openclaw gateway status`, or "
            f"take another port with {elsewhere}",
        )
    ask = f"`sudo -iu {sudo_user(serving.uid)} openclaw gateway status`"
    path = aim.configured.loaded.path
    if aim.configured.problem is not None:
        return verdict(False, f"{saw}; {path} cannot be used", f"ask as that user: {ask}")
    return verdict(
        False,
        f"{saw}; your configuration is {path}, that program uses another one",
        f"take another port with {elsewhere}, or ask as that user: {ask}",
    )


def _through_another(facts: StatusFacts) -> Verdict:
    """Judge a gateway that answers though no gateway has the port: something passes it on.

    So looks the published port of a container, whether a process or the kernel itself passes it on,
    and a tunnel. Neither is wrong, and ending either would be.
    """
    holder, target = facts.aim.holder, facts.aim.target
    assert target is not None
    state_dir = facts.here.paths.state_dir
    if holder is None:
        saw = (
            f"a gateway answers on port {target.port}, where no process of this machine listens: "
            f"the port is passed on, as a container's is, to one that is not of {state_dir}"
        )
    else:
        saw = (
            f"a gateway answers on port {target.port} through {holder.in_words()}, which is not of "
            f"{state_dir}; the published port of a container looks like that, and so does a tunnel"
        )
    ask = "docker exec CONTAINER openclaw gateway status"
    return Verdict(
        good=None,
        saw=saw,
        remedy=f"ask where that gateway runs; in a container with `{ask}`",
        command=ask,
        where="container",
    )


def _of_another_program(facts: StatusFacts, holder: PortOwner) -> Verdict:
    """Judge a port behind which no gateway answered."""
    target = facts.aim.target
    assert target is not None
    saw = f"port {target.port} is held by {holder.in_words()}"
    if facts.knock is None:
        return verdict(
            None,
            f"{saw}; whether a gateway answers through it is not known, for nothing was dialled",
            f"see with `{facts.openclaw} gateway status`",
        )
    elsewhere = (
        f"take another port with `{facts.openclaw} config set gateway.port "
        f"{_free_port(facts, target.port)}`"
    )
    if holder.pid is None:  # another user's
        remedy = f"{elsewhere}, or let that user end it"
        return verdict(False, f"{saw}, which does not answer as a gateway", remedy)
    saw += f", which is not a gateway of {facts.here.paths.state_dir}"
    return verdict(False, saw, f"end that program, or {elsewhere}")


def _free_port(facts: StatusFacts, taken: int) -> int:
    unit = facts.unit.report.facts if facts.unit else None
    return (unit.port_free if unit else None) or taken + 10
