"""The table of refusals: text, code and close as published clients match them, our own sentence."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.access import Refusal
from gateway.policy.credentials import AuthReason, Rejected
from gateway.policy.rows import keeps_knocking, row_of
from gateway.policy.words import NEXT_STEP, PROOF_SENTENCES
from gateway.protocol import close, signature
from gateway.protocol.errors import DetailCode, ErrorCode
from tests.facts import BY_NOTHING, BY_TOKEN, facts, remote_facts

MISSING = Rejected(AuthReason.TOKEN_MISSING, wrong=False)
MISMATCH = Rejected(AuthReason.TOKEN_MISMATCH, wrong=True)
PROOFS = list(PROOF_SENTENCES)
SITUATIONS: dict[Refusal, dict[str, Any]] = {
    Refusal.DEVICE_PROOF: {"proof": signature.SIGNATURE_INVALID},
    Refusal.CREDENTIALS: {"credential": MISMATCH},
    Refusal.THROTTLED: {"locked_for_s": 12.4},
    Refusal.ORIGIN: {"origin": "https://evil.example"},
}


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_has_a_row_that_fits_a_close_frame(refusal):
    row = row_of(refusal, facts(**SITUATIONS.get(refusal, {})))

    assert row.text == close.truncate_reason(row.text)
    assert row.sentence.endswith(".")
    assert row.sentence[0].isupper()


@pytest.mark.parametrize(
    ("refusal", "wire"),
    [
        (Refusal.PROTOCOL, close.PROTOCOL_MISMATCH),
        (Refusal.ROLE, close.INVALID_ROLE),
        (Refusal.ORIGIN, close.ORIGIN_NOT_ALLOWED),
        (Refusal.CONTROL_UI_DEVICE, close.CONTROL_UI_NEEDS_DEVICE),
        (Refusal.NO_DEVICE, close.DEVICE_IDENTITY_REQUIRED),
    ],
)
def test_text_and_close_are_those_of_the_published_gateways(refusal, wire):
    row = row_of(refusal, facts())

    assert (row.close_code, row.text) == (wire.code, wire.reason)


@pytest.mark.parametrize("failure", PROOFS, ids=lambda failure: failure.reason)
def test_each_failed_proof_is_told_in_its_own_words(failure):
    row = row_of(Refusal.DEVICE_PROOF, facts(proof=failure))

    assert row.text == failure.message
    assert row.details == {"code": failure.detail_code, "reason": failure.reason}


def test_every_way_to_fail_a_proof_has_its_sentence():
    known = [
        value for value in vars(signature).values() if isinstance(value, signature.ProofFailure)
    ]

    assert set(PROOFS) == set(known)
    assert len(set(PROOF_SENTENCES.values())) == len(known)


@pytest.mark.parametrize(
    ("reason", "client", "text"),
    [
        pytest.param(
            AuthReason.TOKEN_MISSING,
            ("cli", "cli"),
            "unauthorized: gateway token missing "
            "(set gateway.remote.token to match gateway.auth.token)",
            id="cli",
        ),
        pytest.param(
            AuthReason.TOKEN_MISMATCH,
            ("openclaw-control-ui", "webchat"),
            "unauthorized: gateway token mismatch "
            "(open the dashboard URL and paste the token in Control UI settings)",
            id="page",
        ),
        pytest.param(
            AuthReason.TOKEN_MISMATCH,
            ("webchat-ui", "ui"),
            "unauthorized: gateway token mismatch "
            "(open the dashboard URL and paste the token in Control UI settings)",
            id="webchat-page",
        ),
        pytest.param(
            AuthReason.PASSWORD_MISSING,
            ("node-host", "node"),
            "unauthorized: gateway password missing (provide gateway auth password)",
            id="node",
        ),
        pytest.param(
            AuthReason.PASSWORD_MISMATCH,
            ("cli", "cli"),
            "unauthorized: gateway password mismatch "
            "(set gateway.remote.password to match gateway.auth.password)",
            id="password-cli",
        ),
        pytest.param(
            AuthReason.PASSWORD_MISMATCH,
            ("openclaw-control-ui", "ui"),
            "unauthorized: gateway password mismatch (enter the password in Control UI settings)",
            id="password-page",
        ),
        pytest.param(
            AuthReason.TOKEN_MISSING,
            ("gateway-client", "backend"),
            "unauthorized: gateway token missing (provide gateway auth token)",
            id="backend",
        ),
        pytest.param(
            AuthReason.DEVICE_TOKEN_MISMATCH,
            ("cli", "cli"),
            "unauthorized: device token mismatch (rotate/reissue device token)",
            id="device-token",
        ),
    ],
)
def test_a_failed_authentication_is_told_in_the_published_words(reason, client, text):
    client_id, mode = client
    wanted = facts(credential=Rejected(reason, wrong=True), client_id=client_id, mode=mode)

    assert row_of(Refusal.CREDENTIALS, wanted).text == text


@pytest.mark.parametrize("reason", AuthReason)
@pytest.mark.parametrize("device", [True, False])
def test_each_reason_has_its_code_and_next_step(reason, device):
    wanted = facts(credential=Rejected(reason, wrong=True), device=device)

    details = row_of(Refusal.CREDENTIALS, wanted).details

    retry = device and reason is AuthReason.TOKEN_MISMATCH
    assert details["authReason"] == reason
    assert details["canRetryWithDeviceToken"] is retry
    step = "retry_with_device_token" if retry else NEXT_STEP[reason]
    assert details["recommendedNextStep"] == step
    assert DetailCode(details["code"]).startswith("AUTH_")


PROXY_REASONS = {
    AuthReason.PROXY_UNTRUSTED_SOURCE: (DetailCode.AUTH_UNAUTHORIZED, "gateway.trustedProxies"),
    AuthReason.PROXY_LOOPBACK_SOURCE: (DetailCode.AUTH_UNAUTHORIZED, "allowLoopback"),
    AuthReason.PROXY_MISSING_HEADER: (DetailCode.AUTH_IDENTITY_HEADER_REQUIRED, "x-sig is not"),
    AuthReason.PROXY_USER_MISSING: (DetailCode.AUTH_IDENTITY_HEADER_REQUIRED, "userHeader"),
    AuthReason.PROXY_USER_AMBIGUOUS: (DetailCode.AUTH_IDENTITY_HEADER_REQUIRED, "never append"),
    AuthReason.PROXY_USER_NOT_ALLOWED: (DetailCode.AUTH_UNAUTHORIZED, "allowUsers"),
}


@pytest.mark.parametrize("reason", PROXY_REASONS)
def test_whom_the_proxy_does_not_vouch_for_reads_what_to_correct(reason):
    code, word = PROXY_REASONS[reason]
    missing = "x-sig" if reason is AuthReason.PROXY_MISSING_HEADER else None
    rejected = Rejected(reason, wrong=False, header=missing)

    row = row_of(Refusal.CREDENTIALS, remote_facts(credential=rejected))

    assert (row.text, row.details["code"], row.command) == ("unauthorized", code, None)
    assert row.details["authReason"] == rejected.wire_reason
    assert row.details["recommendedNextStep"] == "review_auth_configuration"
    assert word in row.sentence
    assert "own machine the commands" not in row.sentence


@pytest.mark.parametrize("reason", PROXY_REASONS)
def test_only_who_is_local_and_came_past_the_proxy_reads_of_the_files(reason):
    past = reason in (AuthReason.PROXY_UNTRUSTED_SOURCE, AuthReason.PROXY_LOOPBACK_SOURCE)

    row = row_of(Refusal.CREDENTIALS, facts(credential=Rejected(reason, wrong=False)))

    assert row.command == ("devices list --offline" if past else None)
    assert ("on the files" in row.sentence) is past


def test_a_throttled_command_is_not_told_to_wait_but_for_how_long():
    command = row_of(Refusal.THROTTLED, facts(locked_for_s=12.4))
    page = row_of(Refusal.THROTTLED, facts(locked_for_s=12.4, client_id="openclaw-control-ui"))

    assert command.details["recommendedNextStep"] == "update_auth_credentials"
    assert page.details["recommendedNextStep"] == "wait_then_retry"
    assert "Wait 12 s" in command.sentence


@pytest.mark.parametrize(
    ("claims", "knocks"),
    [
        pytest.param({"client_id": "openclaw-control-ui", "mode": "ui"}, True, id="control-ui"),
        pytest.param({"client_id": "webchat-ui", "mode": "webchat"}, True, id="webchat"),
        pytest.param({"client_id": "node-host", "mode": "node"}, True, id="node-mode"),
        pytest.param({"role": "node"}, True, id="node-role"),
        pytest.param({}, False, id="cli"),
        pytest.param({"mode": "probe"}, False, id="probe"),
        pytest.param({"client_id": "gateway-client", "mode": "backend"}, False, id="backend"),
    ],
)
def test_pages_and_nodes_knock_again_and_commands_do_not(claims, knocks):
    assert keeps_knocking(facts(**claims)) is knocks


def test_a_page_is_told_which_origin_and_host_were_seen():
    wanted = remote_facts(origin="https://evil.example", host=None)

    sentence = row_of(Refusal.ORIGIN, wanted).sentence

    assert "https://evil.example" in sentence
    assert "not given" in sentence
    assert "gateway.controlUi.allowedOrigins" in sentence


def test_a_page_that_lost_its_origin_on_the_way_is_told_so():
    row = row_of(Refusal.ORIGIN, facts(client_id="openclaw-control-ui"))

    assert "must send an Origin" in row.sentence
    assert row.details["reason"] == "origin missing or invalid"


def test_the_page_without_a_device_reads_both_ways_out():
    row = row_of(Refusal.CONTROL_UI_DEVICE, facts(device=False))

    assert "HTTPS or localhost" in row.text
    assert "secure context" in row.text
    assert "ssh -L" in row.sentence


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        pytest.param(facts(device=False, role="node"), "node", id="node"),
        pytest.param(facts(device=False, credential=BY_NOTHING), "no secret", id="mode-none"),
        pytest.param(facts(device=False, credential=MISSING), "gateway.auth.token", id="neither"),
        pytest.param(facts(device=False, credential=BY_TOKEN, role="node"), "key", id="node-key"),
    ],
)
def test_who_lacks_a_device_reads_why_it_needs_one(wanted, word):
    row = row_of(Refusal.NO_DEVICE, wanted)

    assert word in row.sentence
    assert row.code is ErrorCode.NOT_PAIRED


def test_what_is_quoted_from_a_header_is_cut_and_printable():
    wanted = facts(origin="https://\x1b[2J\r\n" + "e" * 5_000)

    sentence = row_of(Refusal.ORIGIN, wanted).sentence

    assert sentence.isprintable()
    assert len(sentence) < 700
    assert "https://\\x1b[2J\\x0d\\x0aeee" in sentence
