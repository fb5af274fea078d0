"""What a refused client is told: no more than it has proven, and always what to do next."""

from __future__ import annotations

import itertools
import re
import shlex

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.access import (
    PairingReason,
    Refusal,
    Refuse,
    RequirePairing,
    decide_access,
)
from gateway.policy.approval import explain_full_list, explain_pairing, explain_rejected
from gateway.policy.credentials import AuthMode, SharedSecrets, judge_credentials
from gateway.policy.remedy import CommandWords, Refused, explain
from gateway.policy.rows import keeps_knocking
from gateway.policy.seen import tier_of, why_not_local
from gateway.policy.words import CREDENTIAL_SENTENCES
from gateway.protocol.close import MAX_REASON_BYTES, truncate_reason
from gateway.protocol.connect import AuthClaim
from gateway.protocol.frames import response_error
from gateway.protocol.signature import SIGNATURE_INVALID
from tests.facts import (
    BY_DEVICE_TOKEN,
    BY_NOTHING,
    V3,
    a_device,
    facts,
    remote_facts,
)
from tests.refusals import (
    BEHIND_A_PROXY,
    CODE,
    COMPOSE,
    DOCKER,
    PLAIN,
    SECRET,
    UNPROVEN,
    WORDS,
    details_of,
    knocking,
    told,
)
from tests.test_docs import command_tree, misfit

UUID = "1a1d87df-ce44-43a3-91e2-4b5fd8fddfb1"

# As published clients look for them in the message and in the reason of the close.
STARTS = re.compile(r"^pairing required")
ENDS = re.compile(r"\(requestId: ([A-Za-z0-9][A-Za-z0-9._:-]{0,127})\)$")

PAIRINGS = {
    PairingReason.NOT_PAIRED: remote_facts(),
    PairingReason.ROLE_UPGRADE: remote_facts(paired=a_device(roles=("node",))),
    PairingReason.SCOPE_UPGRADE: remote_facts(paired=a_device(("operator.pairing",))),
    PairingReason.METADATA_UPGRADE: remote_facts(
        proof=V3, platform="darwin", paired=a_device(platform="linux")
    ),
}


@pytest.mark.parametrize("reason", PAIRINGS)
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("request_id", [CODE, UUID, "a" * 60, "a" * 90, "a" * 128])
def test_the_pairing_refusal_is_read_by_published_parsers(reason, words, request_id):
    near = facts(auto_approve_local=False)

    for wanted in (PAIRINGS[reason], near):
        refused = told(wanted, words=words, request_id=request_id)

        assert STARTS.search(refused.error.message)
        assert refused.close_reason == refused.error.message
        assert len(refused.close_reason.encode()) <= MAX_REASON_BYTES
        assert details_of(refused)["requestId"] == request_id
        if len(request_id) < 91:
            found = ENDS.search(refused.close_reason)
            assert found is not None
            assert found[1] == request_id


@pytest.mark.parametrize(
    ("wanted", "words", "text"),
    [
        pytest.param(
            remote_facts(),
            DOCKER,
            f"pairing required: run openclaw devices approve {CODE} (requestId: {CODE})",
            id="remote",
        ),
        pytest.param(
            facts(auto_approve_local=False),
            DOCKER,
            f"pairing required: run docker exec 0123456789ab openclaw devices approve {CODE} "
            f"(requestId: {CODE})",
            id="local-docker",
        ),
        pytest.param(
            facts(auto_approve_local=False),
            COMPOSE,
            "pairing required: run docker compose exec openclaw-gateway openclaw devices approve "
            f"{CODE} (requestId: {CODE})",
            id="local-compose",
        ),
        pytest.param(
            facts(auto_approve_local=False),
            CommandWords(local="/a/very/long/path" * 4 + "/openclaw"),
            f"pairing required: run openclaw devices approve {CODE} (requestId: {CODE})",
            id="path-too-long-for-the-close",
        ),
    ],
)
def test_the_pairing_refusal_carries_the_command(wanted, words, text):
    refused = told(wanted, words=words)

    assert refused.error.message == text
    # The log has everything, whoever was refused; the details are not cut.
    assert refused.command == f"{words.local} devices approve {CODE}"
    local = tier_of(wanted) == 2
    command = refused.command if local else f"openclaw devices approve {CODE}"
    assert details_of(refused)["remedy"]["command"] == command


@pytest.mark.parametrize("reason", PAIRINGS)
def test_the_pairing_refusal_says_what_was_asked_and_what_is_approved(reason):
    details = details_of(told(PAIRINGS[reason]))

    assert details["code"] == "PAIRING_REQUIRED"
    assert details["reason"] == reason
    assert details["authenticated"] is True
    assert details["requestedRole"] == "operator"
    assert details["requestedScopes"] == ["operator.read"]
    known = reason is not PairingReason.NOT_PAIRED
    assert ("approvedRoles" in details) is known
    assert ("approvedScopes" in details) is known


@pytest.mark.parametrize(
    ("wanted", "waits"),
    [
        pytest.param(remote_facts(), False, id="command"),
        pytest.param(remote_facts(mode="backend", client_id="gateway-client"), False, id="backend"),
        pytest.param(remote_facts(role="node", mode="node", scopes=()), True, id="node"),
        pytest.param(
            remote_facts(
                host="10.0.0.7:1", origin="http://10.0.0.7:1", client_id="openclaw-control-ui"
            ),
            True,
            id="control-ui",
        ),
    ],
)
def test_only_pages_and_nodes_are_told_to_wait(wanted, waits):
    for refused in (
        told(wanted),
        explain_full_list(RequirePairing(PairingReason.NOT_PAIRED), wanted, words=PLAIN),
    ):
        details = details_of(refused)
        assert (details.get("recommendedNextStep") == "wait_then_retry") is waits
        assert (details.get("pauseReconnect") is False) is waits
        assert (refused.error.retryable is True) is waits
        assert (refused.error.retry_after_ms is not None) is waits


def test_a_lock_says_for_how_long():
    refused = told(remote_facts(locked_for_s=12.5))

    assert refused.error.retryable is True
    assert refused.error.retry_after_ms == 12_500


@pytest.mark.parametrize("refusal", Refusal)
def test_nobody_but_the_locked_out_is_told_when_to_come_back(refusal):
    wanted = facts(
        proof=SIGNATURE_INVALID if refusal is Refusal.DEVICE_PROOF else None,
        credential=judge_credentials(
            SharedSecrets(AuthMode.TOKEN, SECRET),
            AuthClaim(token="x"),
            paired=None,
            role="operator",
        ),
    )

    refused = explain(Refuse(refusal), wanted)

    assert (refused.error.retry_after_ms is not None) is (refusal is Refusal.THROTTLED)


@pytest.mark.parametrize(
    ("wanted", "clauses"),
    [
        pytest.param(
            facts(host="foo.ts.net"),
            [
                "the peer is loopback but the Host is foo.ts.net",
                "a proxy that forwards no client address?",
                "X-Forwarded-For",
                "127.0.0.1",
            ],
            id="host",
        ),
        pytest.param(facts(host=None), ["the Host is missing"], id="no-host"),
        pytest.param(
            remote_facts(), ["Only a local client", "sees it as 203.0.113.9"], id="remote"
        ),
        pytest.param(
            facts(origin="http://localhost:5173"), ["http://localhost:5173"], id="other-page"
        ),
        pytest.param(facts(peer_uid=33), ["another user"], id="other-user"),
        pytest.param(
            facts(
                peer="10.0.0.7",
                headers=BEHIND_A_PROXY["headers"],
                trusted=("10.0.0.7",),
                host="gw.example.com",
            ),
            ["forwarded it for 203.0.113.9", "never local"],
            id="trusted-proxy",
        ),
        pytest.param(
            knocking({}, a_device(roles=(), revoked=("operator",))),
            ["operator token was revoked"],
            id="revoked",
        ),
        pytest.param(
            PAIRINGS[PairingReason.METADATA_UPGRADE], ["another platform or kind"], id="metadata"
        ),
        pytest.param(
            remote_facts(role="node", scopes=(), paired=a_device()),
            ["not approved as node."],
            id="role",
        ),
        pytest.param(
            remote_facts(paired=a_device(("operator.pairing",)), credential=BY_DEVICE_TOKEN),
            ["asks for scopes that it is not approved for."],
            id="scopes",
        ),
        pytest.param(
            facts(credential=BY_NOTHING, uid_known=False), ["is not approved yet."], id="mode-none"
        ),
    ],
)
def test_the_sentence_says_why_an_operator_is_asked(wanted, clauses):
    sentence = details_of(told(wanted))["remedy"]["sentence"]

    assert sentence.startswith("The credential is right, but ")
    assert [clause for clause in clauses if clause not in sentence] == []
    assert "it is local" not in sentence


def test_a_full_list_names_the_command_that_empties_it():
    decision = RequirePairing(PairingReason.NOT_PAIRED)

    far = explain_full_list(decision, remote_facts(), words=DOCKER)
    near = explain_full_list(decision, facts(), words=DOCKER)

    assert STARTS.search(far.close_reason)
    assert len(far.close_reason.encode()) <= MAX_REASON_BYTES
    assert details_of(far)["reason"] == "too-many-pending"
    assert details_of(far)["remedy"]["command"] == "openclaw devices list"
    assert details_of(near)["remedy"] == {
        **details_of(far)["remedy"],
        "command": "docker exec 0123456789ab openclaw devices list",
        "where": "container",
    }
    assert far.command == near.command == "docker exec 0123456789ab openclaw devices list"


def test_who_was_rejected_is_told_how_to_ask_again_and_not_to_wait():
    far = explain_rejected(remote_facts(), words=DOCKER)
    near = explain_rejected(facts(), words=DOCKER)

    assert STARTS.search(far.close_reason)
    assert len(far.close_reason.encode()) <= MAX_REASON_BYTES
    assert details_of(far)["reason"] == "rejected"
    assert "requestId" not in details_of(far)
    assert far.error.retryable is None
    assert details_of(far)["remedy"]["command"] == "openclaw devices approve --wait"
    assert near.command == "docker exec 0123456789ab openclaw devices approve --wait"
    assert details_of(near)["remedy"]["command"] == near.command


def every_refusal() -> list[Refused]:
    """Return a refusal of each kind, of each tier, in each spelling of a command."""
    wanted = [
        *(knocking(situation, None) for situation in UNPROVEN.values()),
        *PAIRINGS.values(),
        facts(auto_approve_local=False),
        facts(blocked=True),
        facts(device=False, role="node"),
        facts(device=False, credential=BY_NOTHING),
        facts(device=False, client_id="openclaw-control-ui", origin="http://127.0.0.1:18789"),
    ]
    found = [told(one, words=words) for one, words in itertools.product(wanted, WORDS)]
    full = RequirePairing(PairingReason.NOT_PAIRED)
    return [
        *found,
        *(explain_full_list(full, one, words=PLAIN) for one in wanted),
        *(explain_rejected(one, words=PLAIN) for one in wanted),
    ]


def test_every_command_that_is_named_exists():
    root = command_tree()
    named = set()
    for refused in every_refusal():
        details = details_of(refused)
        named |= {refused.command or "", details.get("remedy", {}).get("command", "")}
        texts = [refused.error.message, refused.sentence, str(details.get("remediationHint"))]
        for text in (*texts, *CREDENTIAL_SENTENCES.values()):
            named |= set(re.findall(r"openclaw devices(?: [a-z]+)*(?: [A-Z0-9-]{9})?", text))
            named |= set(re.findall(r"`(openclaw [^`]+)`", text))

    lines = [line.rpartition("openclaw ")[2] for line in named if line]

    assert len(lines) > 2
    assert [line for line in lines if (why := misfit(root, line)) and why] == []
    assert all(shlex.split(line) for line in lines)


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        pytest.param("https://Gw.Example:8443", "https://gw.example:8443", id="named"),
        pytest.param("http://[2001:DB8::1]:80", "http://[2001:db8::1]:80", id="ipv6"),
        pytest.param("null", None, id="null"),
        pytest.param("https://a.example'; rm -rf ~; '", None, id="shell"),
        pytest.param("https://a.example`id`", None, id="backticks"),
        pytest.param("https://$(id).example", None, id="substitution"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_only_an_origin_that_is_one_gets_into_a_command(origin, page):
    wanted = remote_facts(client_id="openclaw-control-ui", origin=origin)

    refused = explain(Refuse(Refusal.ORIGIN), wanted, words=DOCKER)

    remedy = details_of(refused)["remedy"]
    command = f"config set gateway.controlUi.allowedOrigins '[\"{page}\"]'"
    assert remedy.get("command") == (f"openclaw {command}" if page else None)
    assert remedy["where"] == "gateway-host"
    assert refused.command == (f"{DOCKER.local} {command}" if page else None)


def test_no_sentence_names_a_command_of_later_versions():
    later = (
        "dashboard",
        "doctor",
        "unblock",
        "setup-code",
        "openclaw ui",
    )

    for refused in every_refusal():
        said = f"{refused.sentence} {refused.error.message} {refused.error.details}"
        assert [name for name in later if f"openclaw {name}" in said] == []


def test_every_refusal_fits_a_close_and_the_wire():
    for refused in every_refusal():
        assert truncate_reason(refused.close_reason) == refused.close_reason
        assert set(orjson.loads(response_error("1", refused.error))["error"]) <= {
            "code",
            "message",
            "details",
            "retryable",
            "retryAfterMs",
        }


@given(
    host=st.none() | st.text(max_size=300),
    origin=st.none() | st.text(max_size=300),
    forwarded=st.text(max_size=300),
    path=st.text(max_size=200),
)
def test_whatever_headers_say_a_refusal_can_be_sent(host, origin, forwarded, path):
    wanted = facts(
        host=host, origin=origin, headers=(("X-Forwarded-For", forwarded),), locked_for_s=None
    )
    decision = decide_access(wanted)
    words = CommandWords(local=path)

    if isinstance(decision, Refuse):
        refused = explain(decision, wanted)
    else:
        assert isinstance(decision, RequirePairing)
        refused = explain_pairing(decision, wanted, request_id=CODE, words=words)
        assert ENDS.search(refused.close_reason)

    assert len(refused.close_reason.encode()) <= MAX_REASON_BYTES
    assert why_not_local(wanted)
    assert not keeps_knocking(wanted)
