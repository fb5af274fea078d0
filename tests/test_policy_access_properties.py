"""What holds of every verdict, whatever the facts: the security rules as properties."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.access import Admission, Admit, Refuse, RequirePairing, decide_access
from gateway.policy.credentials import Accepted, AuthReason, Rejected
from gateway.protocol.connect import CLIENT_IDS, CLIENT_MODES
from gateway.protocol.signature import SIGNATURE_INVALID
from stores.scopes import KNOWN, closure, covers
from tests.facts import (
    BY_DEVICE_TOKEN,
    BY_NOTHING,
    BY_PROXY,
    BY_TOKEN,
    LOCAL,
    REMOTE,
    UNCONFIRMED,
    V2,
    V3,
    a_device,
    facts,
)

WRONG = Rejected(AuthReason.TOKEN_MISMATCH, wrong=True)
NO_PROXY = Rejected(AuthReason.PROXY_UNTRUSTED_SOURCE, wrong=False)
MISSING = Rejected(AuthReason.TOKEN_MISSING, wrong=False)
SCOPES = st.lists(st.sampled_from([*sorted(KNOWN), "operator.new", "other"]), max_size=4).map(tuple)
PAIRED = st.one_of(
    st.none(),
    st.builds(
        a_device,
        SCOPES,
        baseline=st.none() | SCOPES,
        roles=st.sampled_from([("operator",), ("node",), ("operator", "node"), ()]),
        revoked=st.sampled_from([(), ("operator",), ("node",)]),
        platform=st.sampled_from([None, "linux", "darwin"]),
    ),
)
SITUATIONS = st.fixed_dictionaries(
    {
        "credential": st.sampled_from(
            [BY_TOKEN, BY_DEVICE_TOKEN, BY_NOTHING, BY_PROXY, WRONG, MISSING, NO_PROXY]
        ),
        "paired": PAIRED,
        "device": st.booleans(),
        "proof": st.sampled_from([V2, V3, SIGNATURE_INVALID]),
        "locality": st.sampled_from([LOCAL, UNCONFIRMED, REMOTE]),
        "origin": st.sampled_from(
            [None, "http://127.0.0.1:18789", "http://localhost:5173", "https://evil.example"]
        ),
        "protocol": st.sampled_from([3, 4, None]),
        "blocked": st.booleans(),
        "locked_for_s": st.sampled_from([None, None, 7.5]),
        "auto_approve_local": st.booleans(),
        "scopes": SCOPES,
        "role": st.sampled_from(["operator", "operator", "node"]),
        "platform": st.sampled_from(["linux", "darwin"]),
    }
)
CLAIMS = st.fixed_dictionaries(
    {
        "client_id": st.sampled_from(sorted(CLIENT_IDS)),
        "mode": st.sampled_from(sorted(CLIENT_MODES)),
        "name": st.none() | st.text(max_size=8),
    }
)


@given(situation=SITUATIONS, one=CLAIMS, other=CLAIMS)
def test_what_a_client_says_of_itself_grants_nothing(situation, one, other):
    plain = decide_access(facts(**situation))
    claimed = decide_access(facts(**situation, **one))
    again = decide_access(facts(**situation, **{**one, "name": other["name"]}))

    assert again == claimed
    if not isinstance(claimed, Admit):
        return
    if isinstance(plain, Admit):
        assert covers(plain.scopes, claimed.scopes)
        assert claimed.method is plain.method
        return
    # The documented narrowing: a probe of a device that may not come in counts as device-less.
    assert one["mode"] == "probe"
    assert isinstance(plain, RequirePairing)
    deviceless = decide_access(facts(**{**situation, "device": False}))
    granted = situation["paired"].granted_scopes("operator") if situation["paired"] else ()
    allowed = deviceless.scopes if isinstance(deviceless, Admit) else ()
    assert covers((*allowed, *granted), claimed.scopes)


@given(situation=SITUATIONS, platform=st.text(min_size=1, max_size=8))
def test_an_unsigned_platform_changes_nothing(situation, platform):
    situation = situation | {"proof": V2}
    changed = situation | {"platform": platform}

    assert decide_access(facts(**situation)) == decide_access(facts(**changed))


@given(situation=SITUATIONS, claims=CLAIMS)
def test_scopes_never_go_beyond_what_was_asked_and_approved(situation, claims):
    wanted = facts(**situation, **claims)

    verdict = decide_access(wanted)

    if not isinstance(verdict, Admit):
        return
    assert covers(closure(situation["scopes"]), verdict.scopes)
    local_with_secret = wanted.locality.local and situation["credential"] is BY_TOKEN
    if verdict.scopes and not local_with_secret:
        # The one other way: mode none, a peer the kernel calls ours, a device not seen before.
        if verdict.admission is Admission.PAIR:
            assert situation["credential"] is BY_NOTHING
            assert wanted.locality == LOCAL
        else:
            approved = situation["paired"].granted_scopes(verdict.role)
            assert covers(approved, verdict.scopes)


@given(situation=SITUATIONS, claims=CLAIMS)
def test_silence_is_for_local_clients_whose_page_is_ours(situation, claims):
    wanted = facts(**situation, **claims)

    verdict = decide_access(wanted)

    if isinstance(verdict, Admit) and verdict.admission is not Admission.KNOWN:
        assert wanted.locality.local
        assert wanted.origin_verdict.silent_ok
        assert wanted.auto_approve_local
        assert wanted.device_id is not None
        assert not (wanted.paired and wanted.paired.revoked(wanted.role))
        assert isinstance(wanted.credential, Accepted)
        assert wanted.credential.shared or wanted.locality.uid_confirmed


@given(situation=SITUATIONS, claims=CLAIMS)
def test_the_blocked_the_locked_and_the_unproven_stay_out(situation, claims):
    wanted = facts(**situation, **claims)

    verdict = decide_access(wanted)

    if wanted.locked_for_s is not None or isinstance(wanted.credential, Rejected):
        assert isinstance(verdict, Refuse)
    if wanted.blocked:
        assert isinstance(verdict, Refuse)


@given(situation=SITUATIONS, claims=CLAIMS)
def test_a_remote_client_never_fares_better_than_a_local_one(situation, claims):
    near = facts(**situation, **claims)
    far = attrs.evolve(near, locality=REMOTE)

    here, there = decide_access(near), decide_access(far)

    if isinstance(there, Admit):
        assert isinstance(here, Admit)
        assert covers(here.scopes, there.scopes)


@given(situation=SITUATIONS, claims=CLAIMS)
def test_a_wish_is_left_only_where_something_was_granted_and_more_was_asked(situation, claims):
    wanted = facts(**situation, **claims)

    verdict = decide_access(wanted)

    if isinstance(verdict, Admit) and verdict.upgrade_pending:
        assert verdict.admission is Admission.KNOWN
        assert verdict.scopes
        assert not covers(verdict.scopes, situation["scopes"])
        assert claims["mode"] != "probe"
