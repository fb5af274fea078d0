"""The second verdict on a gateway: whether one answers at the target.

Rule: judged from gathered facts alone. Something that answered is never called unreachable.
"""

from __future__ import annotations

from cli.failures import Failure, GatewayUnreachableError
from cli.status_facts import StatusFacts
from cli.status_knock import CHALLENGE_WITHIN_MS, Knock, Stage
from cli.status_process import judge_process
from cli.status_verdict import Verdict, of_error, verdict

#: Steps that come once a gateway has shown that it is one.
_AFTER = (Stage.CONNECT, Stage.RPC)


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
