"""The third verdict on a gateway: whether it lets this command in, as what, and if not why.

Rule: judged from gathered facts alone, like the other two.
"""

from __future__ import annotations

from cli.failures import GatewayRefusedError
from cli.own_pairing import is_own
from cli.own_secret import Whereabouts, whereabouts
from cli.refused_here import MISMATCHES, right_secret
from cli.status_facts import SecretSeen, StatusFacts
from cli.status_knock import Knock
from cli.status_verdict import Verdict, of_error, verdict
from stores.credentials import CredentialsRequiredError
from stores.errors import UserFacingError

ADMIN, WRITE, READ = "operator.admin", "operator.write", "operator.read"


def judge_authorisation(facts: StatusFacts) -> Verdict:
    """Tell whether the gateway lets this command in, and as what."""
    knock, aim = facts.knock, facts.aim
    if knock is None or not knock.shook_hands:
        return Verdict(good=None, saw="not tried: that needs the handshake")
    if aim.held_back is not None:
        return _held_back(facts, aim.held_back)
    error = knock.error
    if isinstance(error, GatewayRefusedError) and not error.admitted:
        return _refused(facts, error)
    if not knock.admitted:
        assert error is not None
        return of_error(False, error)
    if error is not None or not knock.scopes:
        return _without_scopes(facts)
    saw = f"let in as operator ({capability(facts)}: {', '.join(knock.scopes)})"
    if knock.first_error is not None:
        stale = _refused(facts, knock.first_error)
        return Verdict(
            good=True,
            saw=f"{saw}, by this device's own token; {stale.saw}",
            remedy=stale.remedy,
            command=stale.command,
            where=stale.where,
        )
    return Verdict(good=True, saw=f"{saw}, by {aim.source or 'nothing: none is asked for'}")


def _held_back(facts: StatusFacts, error: UserFacingError) -> Verdict:
    saw = f"nothing was sent: {error.problem}"
    missing = isinstance(error, CredentialsRequiredError) and facts.aim.local
    found = _whereabouts(facts) if missing else None
    if found is not None:
        return verdict(False, f"{saw}; {found.clause}", found.remedy)
    return of_error(False, error, saw)


def _refused(facts: StatusFacts, error: UserFacingError) -> Verdict:
    assert isinstance(error, GatewayRefusedError)
    source = facts.aim.source
    code = error.details.get("code", error.code)
    saw = f"the gateway answered and refused: {error.problem} ({code})"
    if source is not None:
        saw += f"; the credential came from {source}"
    better = _stale_secret(facts) if code in MISMATCHES and facts.aim.local else None
    if better is not None:
        return verdict(False, f"{saw}, and {better.clause}", better.remedy)
    if str(error.details.get("authReason", "")).startswith("trusted_proxy_") and _is_own(facts):
        return verdict(
            False,
            f"{saw}; a look pairs nothing, and a command of the gateway's own user comes in past the "
            "proxy",
            f"let this one pair itself with `{facts.openclaw} health`",
        )
    return of_error(False, error, saw)


def _is_own(facts: StatusFacts) -> bool:
    """Tell whether a command here may pair itself in the files of the gateway; see `own_pairing`."""
    aim, running = facts.aim, facts.aim.running
    may = aim.configured.loaded.config.gateway.pairing.auto_approve_local
    return aim.local and may and running is not None and is_own(running)


def _stale_secret(facts: StatusFacts) -> Whereabouts | None:
    """Return what the running gateway takes, and how to come by it, if that can be told."""
    own = next((one for one in facts.secrets if one.place == "process"), None)
    used = next((one for one in facts.secrets if one.presented), None)
    if own is None or used is None or own.fingerprint == used.fingerprint:
        return None
    return right_secret(
        used.place,
        used.source,
        facts.aim.running,
        config_path=str(facts.aim.configured.path),
        command=f"{facts.openclaw} gateway status",
        openclaw=facts.openclaw,
        finds_another=_finds_another(facts, own),
    )


def _whereabouts(facts: StatusFacts) -> Whereabouts | None:
    aim = facts.aim
    return whereabouts(aim.running, aim.configured.path, f"{facts.openclaw} gateway status")


def _finds_another(facts: StatusFacts, own: SecretSeen) -> bool:
    """Tell whether this command is let in without the secret it showed."""
    right = any(
        one.fingerprint == own.fingerprint and one.place in ("config", "environment")
        for one in facts.secrets
    )
    return right or facts.aim.second is not None


def _without_scopes(facts: StatusFacts) -> Verdict:
    return verdict(
        False,
        "the gateway accepts the credential, but this device is not approved there, so it may do "
        "nothing; this look leaves no request behind",
        f"ask to be approved with `{facts.openclaw} devices list`, which prints the command that "
        "approves it and where that is typed",
    )


def capability(facts: StatusFacts) -> str:
    """Return in one word what this command may do there, as published commands put it."""
    return capability_of(facts.knock)


def capability_of(knock: Knock | None) -> str:
    """Return the same of a probe."""
    error = knock.error if knock else None
    if isinstance(error, GatewayRefusedError) and error.details.get("code") == "PAIRING_REQUIRED":
        return "pairing-pending"
    if knock is None or not knock.admitted:
        return "connect-only" if knock is not None and knock.shook_hands else "unknown"
    for scope, word in ((ADMIN, "admin-capable"), (WRITE, "write-capable"), (READ, "read-only")):
        if scope in knock.scopes:
            return word
    return "connected-no-operator-scope"
