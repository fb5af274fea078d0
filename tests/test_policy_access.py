"""The verdict on one connect: every refusal beside the admission it is a hair away from."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.access import (
    AccessDecision,
    Admission,
    Admit,
    Facts,
    PairingReason,
    Refusal,
    Refuse,
    RequirePairing,
    decide_access,
)
from gateway.policy.credentials import AuthReason, Method, Rejected
from gateway.protocol.signature import ID_MISMATCH, SIGNATURE_INVALID
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from tests.facts import (
    BY_DEVICE_TOKEN,
    BY_NOTHING,
    BY_PROXY,
    LOCAL,
    V2,
    V3,
    a_device,
    a_token,
    facts,
    remote_facts,
)

WRONG = Rejected(AuthReason.TOKEN_MISMATCH, wrong=True)
MISSING = Rejected(AuthReason.TOKEN_MISSING, wrong=False)
ADMIN_WISH = (ADMIN, "operator.approvals", PAIRING)


def refused(why: Refusal) -> Refuse:
    return Refuse(why)


def pairing(why: PairingReason) -> RequirePairing:
    return RequirePairing(why)


def let_in(*scopes: str, **wanted: Any) -> Admit:
    wanted.setdefault("method", Method.TOKEN)
    return Admit("operator", scopes, **wanted)


# Each pair is one rule: what refuses, and the same with that one fact put right.
TWINS = [
    pytest.param(facts(protocol=None), refused(Refusal.PROTOCOL), facts(protocol=3), id="protocol"),
    pytest.param(facts(role="admin"), refused(Refusal.ROLE), facts(), id="role"),
    pytest.param(
        facts(origin="https://evil.example"),
        refused(Refusal.ORIGIN),
        facts(origin="http://127.0.0.1:18789"),
        id="foreign-origin",
    ),
    pytest.param(
        facts(client_id="openclaw-control-ui"),
        refused(Refusal.ORIGIN),
        facts(client_id="openclaw-control-ui", origin="http://127.0.0.1:18789"),
        id="page-without-origin",
    ),
    pytest.param(
        facts(host="evil.example", origin="http://evil.example"),
        refused(Refusal.ORIGIN),
        facts(host="localhost:1", origin="http://localhost:1"),
        id="rebinding",
    ),
    pytest.param(
        facts(proof=SIGNATURE_INVALID), refused(Refusal.DEVICE_PROOF), facts(), id="proof"
    ),
    pytest.param(facts(locked_for_s=1.0), refused(Refusal.THROTTLED), facts(), id="locked"),
    pytest.param(facts(credential=WRONG), refused(Refusal.CREDENTIALS), facts(), id="wrong"),
    pytest.param(facts(credential=MISSING), refused(Refusal.CREDENTIALS), facts(), id="missing"),
    pytest.param(
        facts(device=False, credential=MISSING),
        refused(Refusal.NO_DEVICE),
        facts(device=False),
        id="neither-device-nor-secret",
    ),
    pytest.param(
        facts(device=False, credential=WRONG),
        refused(Refusal.CREDENTIALS),
        facts(device=False),
        id="a-wrong-token-is-not-a-token",
    ),
    pytest.param(
        facts(device=False, client_id="openclaw-control-ui", origin="http://127.0.0.1:18789"),
        refused(Refusal.CONTROL_UI_DEVICE),
        facts(client_id="openclaw-control-ui", origin="http://127.0.0.1:18789"),
        id="page-without-device",
    ),
    pytest.param(
        facts(device=False, role="node", scopes=()),
        refused(Refusal.NO_DEVICE),
        facts(role="node", scopes=()),
        id="node-without-device",
    ),
    pytest.param(
        facts(device=False, credential=BY_NOTHING),
        refused(Refusal.NO_DEVICE),
        facts(credential=BY_NOTHING),
        id="mode-none-without-device",
    ),
    pytest.param(facts(blocked=True), refused(Refusal.BLOCKED), facts(), id="blocked"),
    pytest.param(
        remote_facts(), pairing(PairingReason.NOT_PAIRED), facts(), id="remote-and-unknown"
    ),
    pytest.param(
        facts(auto_approve_local=False),
        pairing(PairingReason.NOT_PAIRED),
        facts(),
        id="silence-switched-off",
    ),
    pytest.param(
        facts(credential=BY_NOTHING, uid_known=False),
        pairing(PairingReason.NOT_PAIRED),
        facts(credential=BY_NOTHING),
        id="mode-none-wants-the-kernels-word",
    ),
    pytest.param(
        facts(origin="http://localhost:5173"),
        pairing(PairingReason.NOT_PAIRED),
        facts(origin="http://127.0.0.1:18789"),
        id="page-of-another-local-port",
    ),
    pytest.param(
        facts(origin="http://localhost:5173", locality=LOCAL),
        pairing(PairingReason.NOT_PAIRED),
        facts(locality=LOCAL),
        id="page-that-is-not-ours-whatever-locality-says",
    ),
    pytest.param(
        facts(host="box.tail1234.ts.net"),
        pairing(PairingReason.NOT_PAIRED),
        facts(host="gatewaybox:1"),
        id="strange-host",
    ),
    pytest.param(
        facts(host="192.168.0.80"),
        pairing(PairingReason.NOT_PAIRED),
        facts(host="127.0.1.1:18789"),
        id="address-that-is-not-loopback",
    ),
    pytest.param(
        facts(peer_uid=33),
        pairing(PairingReason.NOT_PAIRED),
        facts(peer_uid=0),
        id="peer-of-another-user",
    ),
    pytest.param(
        facts(headers=(("Via", "1.1 proxy"),)),
        pairing(PairingReason.NOT_PAIRED),
        facts(),
        id="forwarded-from-loopback",
    ),
    pytest.param(
        facts(role="node", scopes=(), paired=a_device()),
        pairing(PairingReason.ROLE_UPGRADE),
        facts(role="node", scopes=(), paired=a_device(roles=("operator", "node"))),
        id="operator-that-wants-to-be-a-node",
    ),
    pytest.param(
        remote_facts(paired=a_device(roles=("node",))),
        pairing(PairingReason.ROLE_UPGRADE),
        facts(paired=a_device(roles=("node",))),
        id="node-that-wants-to-be-an-operator",
    ),
    pytest.param(
        remote_facts(paired=a_device((PAIRING,)), scopes=(READ,)),
        pairing(PairingReason.SCOPE_UPGRADE),
        remote_facts(paired=a_device((WRITE,)), scopes=(READ,)),
        id="nothing-in-common",
    ),
    pytest.param(
        facts(proof=V3, platform="darwin", paired=a_device(platform="linux")),
        pairing(PairingReason.METADATA_UPGRADE),
        facts(proof=V2, platform="darwin", paired=a_device(platform="linux")),
        id="platform-changed-and-signed",
    ),
    pytest.param(
        facts(proof=V3, family="phone", paired=a_device(device_family="server")),
        pairing(PairingReason.METADATA_UPGRADE),
        facts(proof=V3, paired=a_device(device_family="server")),
        id="family-changed-and-not-only-missing",
    ),
    pytest.param(
        facts(proof=V3, platform="darwin", paired=a_device(platform="linux")),
        pairing(PairingReason.METADATA_UPGRADE),
        facts(proof=V3, platform=" LINUX ", paired=a_device(platform="Linux")),
        id="platform-spelt-otherwise-is-the-same",
    ),
]


@pytest.mark.parametrize(("wrong", "verdict", "right"), TWINS)
def test_a_refusal_and_its_admission_differ_in_one_fact(
    wrong: Facts, verdict: AccessDecision, right: Facts
):
    assert decide_access(wrong) == verdict
    assert isinstance(decide_access(right), Admit)


# From the first check to the last; each row is wrong in its own way and in all ways that follow.
IN_ORDER: list[tuple[AccessDecision, dict[str, Any]]] = [
    (Refuse(Refusal.PROTOCOL), {"protocol": None}),
    (Refuse(Refusal.ROLE), {"role": "admin"}),
    (Refuse(Refusal.ORIGIN), {"origin": "https://evil.example"}),
    (Refuse(Refusal.DEVICE_PROOF), {"proof": ID_MISMATCH}),
    (Refuse(Refusal.THROTTLED), {"locked_for_s": 3.0}),
    (Refuse(Refusal.CREDENTIALS), {"credential": WRONG}),
    (Refuse(Refusal.BLOCKED), {"blocked": True}),
    (
        RequirePairing(PairingReason.METADATA_UPGRADE),
        {"platform": "darwin", "paired": a_device(platform="linux", roles=("node",))},
    ),
]


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_the_first_fault_in_order_is_the_one_told(place: int):
    verdict, _ = IN_ORDER[place]
    wrong: dict[str, Any] = {"proof": V3}
    for _, faults in reversed(IN_ORDER[place:]):
        wrong |= faults

    assert decide_access(remote_facts(**wrong)) == verdict


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        pytest.param(
            facts(scopes=ADMIN_WISH),
            let_in(*ADMIN_WISH, admission=Admission.PAIR),
            id="first-local-contact-is-paired-silently",
        ),
        pytest.param(
            facts(scopes=ADMIN_WISH, paired=a_device()),
            let_in(*ADMIN_WISH, admission=Admission.UPGRADE),
            id="local-upgrade-is-silent",
        ),
        pytest.param(
            facts(scopes=(WRITE,), paired=a_device(roles=("node",))),
            let_in(WRITE, admission=Admission.UPGRADE),
            id="local-node-becomes-an-operator-silently",
        ),
        pytest.param(
            remote_facts(scopes=(READ,), paired=a_device((ADMIN,))),
            let_in(READ),
            id="admin-covers-read",
        ),
        pytest.param(
            remote_facts(scopes=(ADMIN,), paired=a_device((READ,))),
            let_in(READ, upgrade_pending=True),
            id="asked-admin-approved-read-meet-in-read",
        ),
        pytest.param(
            facts(scopes=(ADMIN,), paired=a_device((READ,)), credential=BY_DEVICE_TOKEN),
            let_in(READ, method=Method.DEVICE_TOKEN, upgrade_pending=True),
            id="a-device-token-earns-no-silence-even-locally",
        ),
        pytest.param(
            facts(scopes=(ADMIN,), paired=a_device((READ,)), credential=BY_NOTHING),
            let_in(READ, method=Method.NONE, upgrade_pending=True),
            id="mode-none-upgrades-nobody-silently",
        ),
        pytest.param(
            facts(scopes=(ADMIN,), paired=a_device((READ,)), auto_approve_local=False),
            let_in(READ, upgrade_pending=True),
            id="no-silent-upgrade-when-switched-off",
        ),
        pytest.param(
            facts(device=False, scopes=(ADMIN,)),
            let_in(ADMIN, with_device=False),
            id="local-without-device-keeps-its-scopes",
        ),
        pytest.param(
            facts(device=False, scopes=(ADMIN,), origin="http://127.0.0.1:18789"),
            let_in(with_device=False),
            id="a-page-without-device-gets-none",
        ),
        pytest.param(
            remote_facts(device=False, scopes=(ADMIN,)),
            let_in(with_device=False),
            id="remote-without-device-gets-none",
        ),
        pytest.param(
            facts(role="node", scopes=(ADMIN,)),
            Admit("node", (), Method.TOKEN, Admission.PAIR),
            id="a-node-holds-no-scopes",
        ),
        pytest.param(
            facts(paired=a_device(tokens={})),
            let_in(READ, admission=Admission.PAIR),
            id="a-record-without-tokens-is-as-good-as-none",
        ),
    ],
)
def test_an_admission_gives_exactly_that(wanted: Facts, verdict: Admit):
    assert decide_access(wanted) == verdict


@pytest.mark.parametrize("paired", [None, a_device(), a_device((ADMIN,))])
@pytest.mark.parametrize("where", [facts, remote_facts])
def test_who_asks_for_no_scopes_holds_none(paired: Any, where: Any):
    verdict = decide_access(where(scopes=(), paired=paired))

    assert not isinstance(verdict, Admit) or verdict.scopes == ()


def test_a_token_wider_than_what_was_approved_is_capped():
    edited = a_device((ADMIN,), baseline=(READ,))

    verdict = decide_access(remote_facts(scopes=(ADMIN, PAIRING), paired=edited))

    assert verdict == let_in(READ, upgrade_pending=True)


def test_an_empty_baseline_is_no_want_of_a_limit():
    edited = a_device((ADMIN,), baseline=())

    verdict = decide_access(remote_facts(scopes=(READ,), paired=edited))

    assert verdict == RequirePairing(PairingReason.SCOPE_UPGRADE)


@pytest.mark.parametrize(
    ("roles", "revoked", "role", "reason"),
    [
        pytest.param((), ("operator",), "operator", PairingReason.ROLE_UPGRADE, id="all"),
        pytest.param(
            ("node",), ("operator",), "operator", PairingReason.ROLE_UPGRADE, id="one-of-two"
        ),
        pytest.param((), ("node",), "node", PairingReason.ROLE_UPGRADE, id="node"),
        pytest.param((), ("operator",), "node", PairingReason.ROLE_UPGRADE, id="by-another-role"),
    ],
)
def test_a_revoked_role_never_comes_back_in_silence(roles, revoked, role, reason):
    device = a_device(roles=roles, revoked=revoked)

    verdict = decide_access(facts(role=role, scopes=(), paired=device))

    assert verdict == RequirePairing(reason)


def test_a_token_for_a_role_nobody_approved_opens_nothing():
    rotated = a_device(roles=("node",), tokens={"operator": a_token(scopes=(ADMIN,))})

    verdict = decide_access(remote_facts(scopes=(ADMIN,), paired=rotated))

    assert verdict == RequirePairing(PairingReason.NOT_PAIRED)


@pytest.mark.parametrize("role", ["operator", "node"])
def test_a_user_without_a_device_comes_in_with_nothing_and_only_as_operator(role):
    decision = decide_access(facts(credential=BY_PROXY, device=False, role=role, scopes=(ADMIN,)))

    if role == "node":
        assert decision == Refuse(Refusal.NO_DEVICE)
    else:
        assert decision == Admit(role, (), Method.TRUSTED_PROXY, with_device=False)


@pytest.mark.parametrize("device", [True, False], ids=["device", "no-device"])
def test_whom_the_proxy_does_not_vouch_for_hears_that_and_not_of_a_device(device):
    unknown = Rejected(AuthReason.PROXY_USER_MISSING, wrong=False, claimed=True)

    decision = decide_access(facts(credential=unknown, device=device, paired=a_device()))

    assert decision == Refuse(Refusal.CREDENTIALS)


def test_a_user_is_not_paired_silently_even_from_here():
    assert decide_access(facts(credential=BY_PROXY)) == RequirePairing(PairingReason.NOT_PAIRED)
