"""The verdict on one connect: probes, first contacts, and what nobody learns before it proved something."""

from __future__ import annotations

import itertools

import pytest

from gateway.policy.access import (
    Admission,
    Admit,
    Refusal,
    Refuse,
    decide_access,
)
from gateway.policy.credentials import AuthReason, Rejected
from gateway.protocol.signature import SIGNATURE_INVALID
from stores.scopes import ADMIN, PAIRING, READ
from tests.facts import (
    BY_DEVICE_TOKEN,
    BY_NOTHING,
    BY_TOKEN,
    V3,
    a_device,
    facts,
    remote_facts,
)

WRONG = Rejected(AuthReason.TOKEN_MISMATCH, wrong=True)
MISSING = Rejected(AuthReason.TOKEN_MISSING, wrong=False)
ADMIN_WISH = (ADMIN, "operator.approvals", PAIRING)


PROBES = {
    "unknown": None,
    "known": a_device((READ,)),
    "admin": a_device((ADMIN,)),
    "node": a_device(roles=("node",)),
    "revoked": a_device(revoked=("operator",), roles=()),
    "moved": a_device((ADMIN,), platform="darwin"),
}


@pytest.mark.parametrize("paired", PROBES.values(), ids=PROBES.keys())
@pytest.mark.parametrize("where", [facts, remote_facts])
@pytest.mark.parametrize("role", ["operator", "node"])
@pytest.mark.parametrize("credential", [BY_TOKEN, BY_DEVICE_TOKEN, BY_NOTHING])
def test_a_probe_leaves_no_trace(paired, where, role, credential):
    verdict = decide_access(
        where(
            mode="probe", scopes=(ADMIN,), role=role, paired=paired, proof=V3, credential=credential
        )
    )

    if isinstance(verdict, Admit):
        assert verdict.admission is Admission.KNOWN
        assert not verdict.upgrade_pending
        assert role == "operator" or verdict.scopes == ()
    else:
        assert verdict == Refuse(Refusal.NO_DEVICE)


@pytest.mark.parametrize(
    ("known", "scopes"),
    [
        pytest.param("unknown", (), id="unknown"),
        pytest.param("known", (READ,), id="known"),
        pytest.param("node", (), id="not-as-operator"),
        pytest.param("revoked", (), id="revoked"),
        pytest.param("moved", (), id="now-of-another-platform"),
    ],
)
def test_a_remote_probe_holds_no_more_than_was_approved(known: str, scopes: tuple[str, ...]):
    verdict = decide_access(
        remote_facts(mode="probe", scopes=(ADMIN,), paired=PROBES[known], proof=V3)
    )

    assert isinstance(verdict, Admit)
    assert verdict.scopes == scopes
    assert verdict.with_device is (known == "known")


def test_a_blocked_device_is_not_let_in_as_a_probe():
    assert decide_access(facts(mode="probe", blocked=True)) == Refuse(Refusal.BLOCKED)


@pytest.mark.parametrize("paired", PROBES.values(), ids=PROBES.keys())
@pytest.mark.parametrize("mode", ["cli", "probe"])
@pytest.mark.parametrize("credential", [WRONG, MISSING])
def test_before_a_credential_is_accepted_the_verdict_ignores_what_is_on_file(
    paired, mode, credential
):
    for blocked in (False, True):
        wanted = remote_facts(
            credential=credential, paired=paired, mode=mode, blocked=blocked, proof=V3
        )

        assert decide_access(wanted) == Refuse(Refusal.CREDENTIALS)


@pytest.mark.parametrize(
    "early",
    [
        {"protocol": None},
        {"role": "admin"},
        {"origin": "https://evil.example"},
        {"proof": SIGNATURE_INVALID},
        {"locked_for_s": 1.0},
    ],
    ids=lambda early: next(iter(early)),
)
def test_what_is_refused_early_does_not_tell_whether_the_secret_was_right(early):
    assert not facts(**early).authenticated
    assert facts().authenticated


FIRST_WISHES = {
    "health": (READ,),
    "status": (READ,),
    "gateway status": (ADMIN,),
    "probe": (ADMIN,),
    "devices list": ADMIN_WISH,
    "logs": (READ,),
    "node list": (),
    "approvals": ("operator.approvals",),
}


@pytest.mark.parametrize("commands", list(itertools.permutations(FIRST_WISHES, 2)))
def test_no_order_of_first_local_commands_ends_in_a_deadlock(commands: tuple[str, ...]):
    paired = None
    for command in commands:
        asked = FIRST_WISHES[command]

        verdict = decide_access(facts(scopes=asked, paired=paired))

        assert isinstance(verdict, Admit)
        assert verdict.scopes == asked
        assert not verdict.upgrade_pending
        if verdict.admission is not Admission.KNOWN:
            before = paired.scopes if paired else ()
            paired = a_device((*before, *asked))
