"""Rules that stand in for an operator: whom they let in, as what, and whom never."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.access import (
    AccessDecision,
    Admission,
    Admit,
    PairingReason,
    Refusal,
    Refuse,
    RequirePairing,
    decide_access,
)
from gateway.policy.approval import explain_pairing
from gateway.policy.credentials import AuthReason, Method, Rejected
from gateway.policy.remedy import CommandWords
from gateway.policy.rule_words import why_no_rule
from gateway.policy.rules import (
    PUBLISHED_PORT_RULE,
    PUBLISHED_SCOPES,
    Rule,
    may_be_published_port,
    missing_rule,
)
from stores.scopes import ADMIN, APPROVALS, KNOWN, PAIRING, QUESTIONS, READ, WRITE, covers
from tests.facts import (
    BY_DEVICE_TOKEN,
    BY_NOTHING,
    BY_PROXY,
    V3,
    a_device,
    facts,
)

BOTH = ("operator", "node")
HOME = "127.0.0.1"
WRONG = Rejected(AuthReason.TOKEN_MISMATCH, wrong=True)
LAN = Rule("lan", ip_network("192.168.178.0/24"), BOTH, (READ, WRITE))
NODES = Rule("nodes", ip_network("192.168.178.0/24"), ("node",))
HERE = Rule("here", ip_network("127.0.0.0/8"), BOTH, (READ,))
INSIDE, BRIDGE = "192.168.178.20", "172.18.0.1"
PAGE, LISTED = "http://127.0.0.1:18789", "https://ui.example"


def decided(*rules: Rule, peer: str = INSIDE, **wanted: Any) -> AccessDecision:
    """Return the verdict on a device with the token that asks for operator.read."""
    return decide_access(facts(rules=rules or (LAN,), peer=peer, **wanted))


def published(**wanted: Any) -> AccessDecision:
    """Return the verdict on a browser behind a published port."""
    words: dict[str, Any] = {"peer": BRIDGE, "origin": PAGE, "peer_is_default_gateway": True}
    rules = wanted.pop("rules", (PUBLISHED_PORT_RULE,))
    return decided(*rules, **(words | wanted))


def test_a_rule_pairs_a_new_device_with_what_it_asks_for():
    decision = decided()

    assert isinstance(decision, Admit)
    assert (decision.scopes, decision.admission) == ((READ,), Admission.PAIR)
    assert (decision.rule, decision.upgrade_pending) == (LAN, False)
    assert LAN.via == "trusted-cidr"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"peer": "192.168.179.1"}, id="another-network"),
        pytest.param({"peer": "fd00::1"}, id="another-family"),
        pytest.param({"headers": (("X-Forwarded-For", INSIDE),)}, id="forwarded"),
        pytest.param({"headers": (("Via", "1.1 x"),)}, id="some-forwarding-header"),
        pytest.param(
            {
                "peer": "10.0.0.1",
                "headers": (("X-Forwarded-For", INSIDE),),
                "trusted": ("10.0.0.1",),
            },
            id="behind-a-trusted-proxy",
        ),
        pytest.param({"trusted": (INSIDE,)}, id="a-proxy-that-forwards-nothing"),
        pytest.param({"credential": BY_NOTHING}, id="mode-none"),
        pytest.param({"credential": BY_PROXY}, id="trusted-proxy"),
        pytest.param({"credential": BY_DEVICE_TOKEN}, id="device-token"),
        pytest.param(
            {"origin": PAGE, "allowed_origins": (PAGE,), "host": "rebound.example"}, id="host"
        ),
        pytest.param({"rules": (NODES,)}, id="another-role"),
        pytest.param({"rules": (Rule("none", LAN.source, BOTH),)}, id="no-scopes"),
        pytest.param({"scopes": (PAIRING,)}, id="none-of-these-scopes"),
    ],
)
def test_whom_no_rule_names_waits_for_an_operator(wanted):
    rules = wanted.pop("rules", (LAN,))

    assert decided(*rules, **wanted) == RequirePairing(PairingReason.NOT_PAIRED)


def test_a_rule_for_loopback_lets_nobody_in_whom_locality_does_not():
    stranger = decided(HERE, peer="127.0.0.1", host="gw.example.com")

    assert stranger == RequirePairing(PairingReason.NOT_PAIRED)


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        pytest.param({"blocked": True}, Refusal.BLOCKED, id="blocked"),
        pytest.param({"origin": "https://evil.example"}, Refusal.ORIGIN, id="origin"),
        pytest.param({"role": "node", "device": False}, Refusal.NO_DEVICE, id="no-device"),
        pytest.param({"locked_for_s": 3.0}, Refusal.THROTTLED, id="locked"),
    ],
)
def test_no_rule_helps_against_a_refusal(wanted, refusal):
    assert decided(**wanted) == Refuse(refusal)


def test_a_device_without_a_key_gets_no_scopes_by_a_rule():
    decision = decided(device=False)

    assert isinstance(decision, Admit)
    assert (decision.scopes, decision.rule) == ((), None)


def test_a_browser_of_an_origin_that_is_listed_comes_in_by_the_network():
    decision = decided(origin=LISTED, host="ui.example", allowed_origins=(LISTED,))

    assert isinstance(decision, Admit)
    assert decision.rule == LAN


def test_what_a_rule_does_not_grant_waits():
    decision = decided(scopes=(ADMIN, PAIRING))

    assert isinstance(decision, Admit)
    assert set(decision.scopes) == {READ, WRITE}
    assert (decision.admission, decision.upgrade_pending) == (Admission.PAIR, True)


def test_the_rule_that_gives_all_that_is_asked_goes_first():
    more = Rule("more", LAN.source, BOTH, (READ, PAIRING))

    decision = decided(LAN, more, scopes=(READ, PAIRING))

    assert isinstance(decision, Admit)
    assert (decision.rule, decision.upgrade_pending) == (more, False)


@pytest.mark.parametrize(
    ("paired", "scopes", "gives"),
    [
        pytest.param(a_device((READ,)), (WRITE,), {READ, WRITE}, id="wider"),
        pytest.param(a_device((PAIRING,)), (PAIRING, READ), {PAIRING, READ}, id="besides"),
        pytest.param(a_device((PAIRING,)), (READ,), {READ}, id="nothing-in-common"),
        pytest.param(a_device(roles=("node",)), (READ,), {READ}, id="operator-of-a-node"),
    ],
)
def test_a_rule_widens_a_device_within_its_scopes(paired, scopes, gives):
    decision = decided(paired=paired, scopes=scopes)

    assert isinstance(decision, Admit)
    assert set(decision.scopes) <= gives
    assert covers(decision.scopes, scopes)
    assert (decision.admission, decision.rule) == (Admission.UPGRADE, LAN)


@pytest.mark.parametrize(
    ("paired", "wanted"),
    [
        pytest.param(a_device(revoked=("operator",)), {}, id="revoked"),
        pytest.param(a_device(revoked=("node",)), {"scopes": (WRITE,)}, id="another-role-revoked"),
        pytest.param(
            a_device(platform="darwin"), {"proof": V3, "scopes": (WRITE,)}, id="another-platform"
        ),
        pytest.param(a_device(), {"role": "node", "scopes": ()}, id="node-of-an-operator"),
        pytest.param(
            a_device((READ,), baseline=(READ, WRITE)), {"scopes": (WRITE,)}, id="taken-by-rotation"
        ),
        pytest.param(a_device((READ, WRITE)), {"scopes": (READ, ADMIN)}, id="nothing-new"),
    ],
)
def test_a_rule_gives_nothing_back_and_accepts_no_other_machine(paired, wanted):
    without = decide_access(facts(peer=INSIDE, paired=paired, **wanted))

    assert decided(paired=paired, **wanted) == without
    assert not isinstance(without, Admit) or without.upgrade_pending


def test_a_node_is_paired_once_and_gets_no_scopes():
    decision = decided(NODES, role="node", scopes=(READ,))

    assert decision == Admit("node", (), Method.TOKEN, Admission.PAIR, rule=NODES)


def test_a_probe_is_never_paired_by_a_rule():
    decision = decided(mode="probe")

    assert isinstance(decision, Admit)
    assert (decision.with_device, decision.scopes, decision.rule) == (False, (), None)


def test_a_browser_behind_a_published_port_comes_in():
    decision = published(scopes=(ADMIN, APPROVALS, PAIRING))

    assert isinstance(decision, Admit)
    assert set(decision.scopes) == set(PUBLISHED_SCOPES)
    assert decision.upgrade_pending
    assert PUBLISHED_PORT_RULE.via == "published-port"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"peer_is_default_gateway": False}, id="another-peer"),
        pytest.param({"origin": None}, id="no-browser"),
        pytest.param({"host": "gw.example", "origin": "http://gw.example"}, id="host-of-a-name"),
        pytest.param(
            {"host": "192.168.1.5:18789", "origin": "http://192.168.1.5:18789"}, id="lan-host"
        ),
        pytest.param(
            {"origin": "http://localhost:5173", "allowed_origins": ("http://localhost:5173",)},
            id="another-page-of-that-computer",
        ),
        pytest.param({"headers": (("X-Forwarded-For", "203.0.113.9"),)}, id="forwarded"),
        pytest.param({"peer": "127.0.0.1", "host": "x.localhost:1"}, id="loopback-peer"),
        pytest.param({"role": "node"}, id="node"),
        pytest.param({"scopes": (QUESTIONS,)}, id="scope-beyond"),
        pytest.param({"rules": ()}, id="rule-off"),
    ],
)
def test_who_only_looks_like_such_a_browser_waits(wanted):
    decision = published(**wanted)

    assert not isinstance(decision, Admit) or decision.rule is None


@pytest.mark.parametrize(
    ("written", "grants"),
    [
        pytest.param((ADMIN,), {ADMIN}, id="admin-by-name"),
        pytest.param((READ, QUESTIONS), {READ}, id="capped"),
        pytest.param((), set(), id="none"),
    ],
)
def test_a_published_port_grants_more_only_where_admin_is_named(written, grants):
    assert set(Rule("mine", None, BOTH, written).grants) == grants


def test_a_trusted_bridge_makes_no_difference_to_a_published_port():
    assert published(trusted=("172.18.0.0/16",)) == published()


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        pytest.param({}, "published-port", id="no-rule"),
        pytest.param({"rules": (LAN,)}, "published-port", id="another-rule"),
        pytest.param({"rules": (PUBLISHED_PORT_RULE,)}, None, id="rule-is-there"),
        pytest.param({"peer_is_default_gateway": False}, None, id="another-peer"),
        pytest.param({"origin": None}, None, id="no-browser"),
        pytest.param({"role": "node"}, None, id="node"),
        pytest.param({"paired": a_device(revoked=("operator",))}, None, id="revoked"),
    ],
)
def test_the_rule_that_would_help_is_named_where_it_would(wanted, named):
    words: dict[str, Any] = {"peer": BRIDGE, "origin": PAGE, "peer_is_default_gateway": True}

    assert missing_rule(facts(**(words | wanted))) == named


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        pytest.param(
            {"peer": "127.0.0.1", "headers": (("X-Forwarded-For", INSIDE),), "trusted": (HOME,)},
            "no rule is for what a proxy forwarded",
            id="forwarded",
        ),
        pytest.param({"rules": (NODES,)}, "only as node", id="role"),
        pytest.param({"credential": BY_DEVICE_TOKEN}, "gateway's own secret", id="secret"),
        pytest.param({"paired": a_device(revoked=("operator",))}, "was revoked", id="revoked"),
        pytest.param({"rules": (HERE,), "peer": "127.0.0.1"}, "this machine itself", id="local"),
        pytest.param({"scopes": (ADMIN,)}, "none of the scopes", id="scopes"),
        pytest.param({"peer_is_proxy": True}, "it could be anybody", id="listed-proxy"),
        pytest.param({"peer": BRIDGE}, None, id="not-covered"),
        pytest.param({"credential": BY_NOTHING}, "gateway's own secret", id="no-secret"),
        pytest.param({"credential": WRONG}, None, id="nothing-proven"),
        pytest.param({"rules": ()}, None, id="no-rule"),
    ],
)
def test_the_rule_that_covers_a_client_says_why_it_does_not_help(wanted, said):
    words = {"rules": (LAN,), "peer": INSIDE} | wanted
    proxied = words.pop("peer_is_proxy", False)
    met = facts(**words)

    why = why_no_rule(evolve(met, peer_is_proxy=proxied))

    assert why is None if said is None else said in (why or "")
    if said is not None:
        verdict = RequirePairing(PairingReason.NOT_PAIRED)
        told = explain_pairing(verdict, met, request_id="ABCD-2345", words=CommandWords())
        assert "autoApprove" not in told.error.message
        remedy = (told.error.details or {})["remedy"]
        assert met.locality.local or "gateway.pairing.autoApprove, the rule" not in str(remedy)


def test_the_kernel_is_asked_only_about_what_could_be_such_a_browser():
    assert may_be_published_port(facts(peer=BRIDGE, origin=PAGE))
    assert not may_be_published_port(facts(peer=BRIDGE))


RULES = st.lists(
    st.builds(
        Rule,
        st.just("r"),
        st.sampled_from([None, LAN.source, ip_network("127.0.0.0/8"), ip_network("172.16.0.0/12")]),
        st.sampled_from([("operator",), ("node",), BOTH]),
        st.lists(st.sampled_from(sorted(KNOWN)), max_size=3).map(tuple),
    ),
    max_size=3,
).map(tuple)


@given(
    rules=RULES,
    peer=st.sampled_from([INSIDE, BRIDGE, "127.0.0.1", "203.0.113.9"]),
    origin=st.sampled_from([None, PAGE, "http://localhost:5173"]),
    asked=st.lists(st.sampled_from(sorted(KNOWN)), max_size=3).map(tuple),
    held=st.lists(st.sampled_from(sorted(KNOWN)), max_size=2).map(tuple),
    known=st.booleans(),
    way_out=st.booleans(),
)
def test_no_device_gets_more_than_it_asks_for_or_than_file_and_rule_say(
    rules, peer, origin, asked, held, known, way_out
):
    situation = {
        "peer": peer,
        "origin": origin,
        "scopes": asked,
        "peer_is_default_gateway": way_out,
    }
    paired = a_device(held) if known else None
    decision = decide_access(facts(rules=rules, paired=paired, host="127.0.0.1:1", **situation))

    if isinstance(decision, Admit) and decision.rule is not None:
        assert covers(asked, decision.scopes)
        assert covers((*held, *decision.rule.grants), decision.scopes)
        assert decision.upgrade_pending is not covers(decision.scopes, asked)
        assert not peer.startswith("127.")


def test_the_refusal_names_the_rule_that_would_have_helped_and_where_to_type():
    browser = facts(peer=BRIDGE, origin=PAGE, peer_is_default_gateway=True)
    command = facts(peer=BRIDGE)
    verdict = RequirePairing(PairingReason.NOT_PAIRED)

    for_page, for_command = (
        explain_pairing(verdict, one, request_id="ABCD-2345", words=CommandWords()).sentence
        for one in (browser, command)
    )

    assert "`openclaw gateway run --auto-approve published-port`" in for_page
    assert "--auto-approve" not in for_command
    assert f"the gateway sees it as {BRIDGE}" in for_command
    assert "inside its container" in for_command


def test_a_user_is_named_to_whoever_decides():
    wanted = facts(credential=BY_PROXY, peer=BRIDGE)

    refused = explain_pairing(
        RequirePairing(PairingReason.NOT_PAIRED),
        wanted,
        request_id="ABCD-2345",
        words=CommandWords(),
    )

    assert refused.sentence.startswith("The proxy signed alice in, but this device is not approved")
