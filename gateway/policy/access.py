"""Who gets in: gathered facts in, one verdict out; the order of checks is the order of the code.

Source: protocol fact, the order of checks on ``connect``; our own choices are in
``docs/reference/protocol.md``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from gateway.policy.address import ClientAddress, Locality
from gateway.policy.credentials import Accepted, Method, Rejected, Verdict
from gateway.policy.origin import OriginVerdict
from gateway.policy.rules import Rule, granted
from gateway.protocol.connect import ConnectParams
from gateway.protocol.signature import ProofFailure, ProofOk
from stores.records import Invitation, PairedDevice, Role
from stores.scopes import covers, meet

CONTROL_UI = "openclaw-control-ui"
PROBE = "probe"


class Refusal(StrEnum):
    """Everything a connect can be refused for, but for pairing; the row of the access table."""

    PROTOCOL = "protocol"
    ROLE = "role"
    ORIGIN = "origin"
    DEVICE_PROOF = "device-proof"
    THROTTLED = "throttled"
    CREDENTIALS = "credentials"
    CONTROL_UI_DEVICE = "control-ui-device"
    NO_DEVICE = "no-device"
    BLOCKED = "blocked"


class PairingReason(StrEnum):
    """Why a device must be approved first: ``details.reason``."""

    NOT_PAIRED = "not-paired"
    ROLE_UPGRADE = "role-upgrade"
    SCOPE_UPGRADE = "scope-upgrade"
    METADATA_UPGRADE = "metadata-upgrade"


class Admission(StrEnum):
    """What an admission writes down: nothing, or an audited pairing or upgrade without a human."""

    KNOWN = "known"
    PAIR = "pair"
    UPGRADE = "upgrade"
    INVITED = "invited"


@frozen
class Facts:
    """All that a verdict depends on, gathered before it; ``paired`` belongs to a verified key.

    Args:
        protocol: The version both sides speak, or None.
        locked_for_s: Seconds for which the client's bucket is locked, or None.
        auto_approve_local: Whether local contacts are paired and upgraded silently.
        rules: Who else is let in without being asked about.
        host_is_ours, peer_is_proxy: What the rules ask; gathered only where there are any.
        peer_is_default_gateway: The peer is the way out of our own network: how a container sees
            its host. Asked of the kernel only where it may matter.
    """

    params: ConnectParams
    protocol: int | None
    address: ClientAddress
    locality: Locality
    host: str | None
    origin: str | None
    origin_verdict: OriginVerdict
    proof: ProofOk | ProofFailure | None
    credential: Verdict
    paired: PairedDevice | None = None
    blocked: bool = False
    locked_for_s: float | None = None
    auto_approve_local: bool = True
    rules: tuple[Rule, ...] = ()
    host_is_ours: bool = False
    peer_is_proxy: bool = False
    peer_is_default_gateway: bool = False

    @property
    def role(self) -> str:
        """The role asked for; none named means operator."""
        return self.params.role or Role.OPERATOR

    @property
    def authenticated(self) -> bool:
        """Whether a credential was accepted: never before all that is checked ahead of it was.

        A page of a foreign origin, or a forged signature, would else learn whether a guess is
        right, and no throttle counts those.
        """
        return isinstance(self.credential, Accepted) and refused_early(self) is None

    @property
    def device_id(self) -> str | None:
        """The id of the verified device, or None."""
        return (
            self.params.device.id
            if self.params.device and isinstance(self.proof, ProofOk)
            else None
        )


@frozen
class Admit:
    """Let the client in, with ``scopes``; ``upgrade_pending`` leaves the rest as a request.

    ``rule`` is what stood in for an operator, if one did.
    """

    role: str
    scopes: tuple[str, ...]
    method: Method
    admission: Admission = Admission.KNOWN
    with_device: bool = True
    upgrade_pending: bool = False
    rule: Rule | None = None


@frozen
class RequirePairing:
    """The credential is right, the device is not approved for that: an operator decides."""

    reason: PairingReason


@frozen
class Refuse:
    """The client does not get in."""

    refusal: Refusal


AccessDecision: TypeAlias = Admit | RequirePairing | Refuse


def decide_access(facts: Facts) -> AccessDecision:
    """Return the verdict on one ``connect``."""
    refusal = refused_early(facts)
    if refusal is not None:
        return Refuse(refusal)
    credential = facts.credential
    if isinstance(credential, Rejected):
        # Whatever is on file of the device: who proved nothing learns nothing of it.
        if facts.proof is None and not credential.wrong and not credential.by_proxy:
            return _without_device(facts, None)
        return Refuse(Refusal.CREDENTIALS)
    if facts.blocked:
        return Refuse(Refusal.BLOCKED)
    if facts.proof is None:
        return _without_device(facts, credential)
    if facts.params.client.mode == PROBE:
        return _probe(facts, credential)
    return _with_device(facts, credential)


def refused_early(facts: Facts) -> Refusal | None:
    """Return what a connect is refused for before any secret is looked at, or None."""
    if facts.protocol is None:
        return Refusal.PROTOCOL
    if facts.role not in tuple(Role):
        return Refusal.ROLE
    if not facts.origin_verdict.allowed:
        return Refusal.ORIGIN
    if isinstance(facts.proof, ProofFailure):
        return Refusal.DEVICE_PROOF
    if facts.locked_for_s is not None:
        return Refusal.THROTTLED
    return None


def _without_device(facts: Facts, credential: Accepted | None) -> AccessDecision:
    """Judge a client without a device: local with the shared secret keeps what it asks for."""
    if facts.params.client.id == CONTROL_UI:
        return Refuse(Refusal.CONTROL_UI_DEVICE)
    if facts.role == Role.NODE or credential is None or not _may_lack_device(credential):
        return Refuse(Refusal.NO_DEVICE)
    keeps = credential.shared and facts.locality.local and facts.origin is None
    return Admit(
        role=facts.role,
        scopes=facts.params.scopes if keeps else (),
        method=credential.method,
        with_device=False,
    )


def _may_lack_device(credential: Accepted) -> bool:
    """Tell whether an operator without a device may come in: known by the secret, or by name."""
    return credential.shared or credential.method is Method.TRUSTED_PROXY


def _probe(facts: Facts, credential: Accepted) -> AccessDecision:
    """Judge a probe: it sees what it may, and nothing is written.

    A device that is not approved for the role, or not as what it says it is, counts as none:
    else calling itself a probe would be a way around an approval.
    """
    paired, role, asked = facts.paired, facts.role, facts.params.scopes
    if paired is None or role not in paired.live_roles or _metadata_changed(facts, paired):
        return _without_device(facts, credential)
    local = credential.shared and facts.locality.local and facts.origin is None
    scopes = asked if local else meet(asked, paired.granted_scopes(role))
    return Admit(role, _scopes_of(role, scopes), credential.method)


def _with_device(facts: Facts, credential: Accepted) -> AccessDecision:
    """Judge a client with a device: by what is on file, then by the rules for the rest."""
    if credential.invitation is not None and not _is_known(facts):
        return _invited(facts, credential, credential.invitation)
    decision = _by_what_is_on_file(facts, credential)
    if not facts.rules or not leaves_a_wish(decision):
        return decision
    pairs = isinstance(decision, RequirePairing)
    first = pairs and decision == RequirePairing(PairingReason.NOT_PAIRED)
    if facts.role != Role.OPERATOR and not first:
        return decision  # another role of a known device is an operator's decision
    grant = granted(facts, new_role=pairs)
    if grant is None:
        return decision
    return Admit(
        facts.role,
        grant.scopes,
        credential.method,
        Admission.PAIR if first else Admission.UPGRADE,
        upgrade_pending=facts.role == Role.OPERATOR
        and not covers(grant.scopes, facts.params.scopes),
        rule=grant.rule,
    )


def _is_known(facts: Facts) -> bool:
    paired = facts.paired
    return paired is not None and (facts.role in paired.live_roles or _has_history(paired))


def _invited(facts: Facts, credential: Accepted, invitation: Invitation) -> Admit:
    """Let a new device in by an invitation: for what both ask and invitation name, no more."""
    asked = facts.params.scopes
    operator = facts.role == Role.OPERATOR
    return Admit(
        facts.role,
        meet(asked, invitation.scopes) if operator else (),
        credential.method,
        Admission.INVITED,
        upgrade_pending=operator and not covers(invitation.scopes, asked),
    )


def leaves_a_wish(decision: AccessDecision) -> bool:
    """Tell whether a device does not get all it asks for and a rule could help.

    Another platform than the one approved is never a rule's to accept.
    """
    if isinstance(decision, RequirePairing):
        return decision.reason is not PairingReason.METADATA_UPGRADE
    return isinstance(decision, Admit) and decision.upgrade_pending


def _by_what_is_on_file(facts: Facts, credential: Accepted) -> AccessDecision:
    paired, role, asked = facts.paired, facts.role, facts.params.scopes
    revoked = paired is not None and paired.revoked(role)
    silent = _may_be_silent(facts, credential) and not revoked
    upgrade = silent and credential.shared
    live = paired is not None and paired.live_token(role) is not None
    if paired is None or not (live or _has_history(paired)):
        if silent:
            return Admit(role, _scopes_of(role, asked), credential.method, Admission.PAIR)
        return RequirePairing(PairingReason.NOT_PAIRED)
    if _metadata_changed(facts, paired):
        return RequirePairing(PairingReason.METADATA_UPGRADE)
    if not live:
        if upgrade and role == Role.OPERATOR:
            return Admit(role, asked, credential.method, Admission.UPGRADE)
        return RequirePairing(PairingReason.ROLE_UPGRADE)
    granted = paired.granted_scopes(role)
    if role == Role.NODE or covers(granted, asked):
        return Admit(role, _scopes_of(role, asked), credential.method)
    if upgrade:
        return Admit(role, asked, credential.method, Admission.UPGRADE)
    both = meet(asked, granted)
    if both:
        return Admit(role, both, credential.method, upgrade_pending=True)
    return RequirePairing(PairingReason.SCOPE_UPGRADE)


def _has_history(paired: PairedDevice) -> bool:
    """Tell whether a record opens something or once did; one without tokens is as good as none."""
    return bool(paired.live_roles) or any(map(paired.revoked, paired.tokens))


def _may_be_silent(facts: Facts, credential: Accepted) -> bool:
    """Tell whether a local contact may be paired without a human.

    With no secret to prove, only the kernel's word on the peer's uid makes a contact ours.
    """
    if not (facts.locality.local and facts.auto_approve_local and facts.origin_verdict.silent_ok):
        return False
    if credential.method is Method.NONE:
        return facts.locality.uid_confirmed
    return credential.shared


def _scopes_of(role: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    return asked if role == Role.OPERATOR else ()


def _metadata_changed(facts: Facts, paired: PairedDevice) -> bool:
    """Compare what a v3 signature vouches for with what was approved; a missing value never counts."""
    if not isinstance(facts.proof, ProofOk) or facts.proof.version != 3:
        return False
    client = facts.params.client
    pins = ((paired.platform, client.platform), (paired.device_family, client.device_family))
    return any(
        pinned and now and pinned.strip().lower() != now.strip().lower() for pinned, now in pins
    )
