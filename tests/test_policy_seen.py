"""What a refusal tells of what was seen: every kind of refusal, at every tier, against sentinels."""

from __future__ import annotations

import itertools
import re
import shlex
from ipaddress import ip_network
from typing import Any

import attrs
import pytest

from gateway.policy.access import Facts, PairingReason, Refusal, Refuse, RequirePairing
from gateway.policy.address import Locality, LocalityReason
from gateway.policy.approval import explain_full_list, explain_pairing
from gateway.policy.credentials import AuthReason, Rejected
from gateway.policy.remedy import CommandWords, Refused, explain
from gateway.policy.seen import Lists, proxy_hint, set_list, tier_of
from gateway.protocol.close import MAX_REASON_BYTES
from gateway.protocol.signature import SIGNATURE_INVALID
from tests.facts import BY_TOKEN, LOCAL, a_device, an_address, facts
from tests.refusals import CODE, on_the_wire
from tests.test_docs import command_tree, misfit

# Everything that is ours, in shapes that nothing else has.
PEER, CLIENT = "198.51.100.77", "198.51.100.88"
LISTS = Lists((ip_network("192.0.2.128/25"),), ("https://sentinel-origin.example",))
WORDS = CommandWords(local="docker exec sentinelbox /sentinel/path/openclaw", in_container=True)
ON_FILE = a_device(("operator.sentinel",), platform="sentinel-os")
BEHIND_IT = Locality(local=False, why=LocalityReason.UNTRUSTED_PROXY, uid_confirmed=False)

SAID = {"host": "said.example", "origin": "https://said.example"}
MISMATCH = Rejected(AuthReason.TOKEN_MISMATCH, wrong=True)
SITUATIONS: dict[Refusal, dict[str, Any]] = {
    Refusal.DEVICE_PROOF: {"proof": SIGNATURE_INVALID},
    Refusal.CREDENTIALS: {"credential": MISMATCH},
    Refusal.THROTTLED: {"locked_for_s": 12.0},
}
#: Refusals of who had proven a credential already.
AFTER_IT = {Refusal.BLOCKED, Refusal.NO_DEVICE, Refusal.CONTROL_UI_DEVICE}


def met(tier: int, **more: Any) -> Facts:
    """Return facts of somebody behind an untrusted proxy who has proven that much."""
    locality = LOCAL if tier == 2 else BEHIND_IT
    found = facts(
        **{"credential": BY_TOKEN if tier else MISMATCH, "locality": locality, **SAID, **more}
    )
    address = attrs.evolve(an_address(PEER), untrusted_proxy=True, forwarded=True)
    return attrs.evolve(found, address=address)


def refused(refusal: Refusal, tier: int, **more: Any) -> Refused:
    wanted = met(tier, **SITUATIONS.get(refusal, {}) | more)
    return explain(Refuse(refusal), wanted, words=WORDS, lists=LISTS)


def details_of(one: Refused) -> dict[str, Any]:
    return dict(one.error.details or {})


@pytest.mark.parametrize("refusal", [one for one in Refusal if one not in AFTER_IT])
def test_at_tier_0_nothing_of_ours_is_told_and_nothing_on_file_changes_a_byte(refusal: Refusal):
    unknown, known = (refused(refusal, 0, paired=paired) for paired in (None, ON_FILE))

    wire = on_the_wire(unknown)
    ours = (PEER, CLIENT, "sentinel", "192.0.2.", "docker", "not-loopback", "untrusted")
    assert [word for word in ours if word.encode() in wire] == []
    assert on_the_wire(known) == wire
    assert set(details_of(unknown)["saw"]) == {"forwardedFor", "host", "origin"}
    assert "requestId" not in details_of(unknown)


@pytest.mark.parametrize("refusal", Refusal)
def test_at_tier_1_paths_containers_and_lists_are_not_told(refusal: Refusal):
    wire = on_the_wire(refused(refusal, 1))

    ours = ("sentinel", "192.0.2.", "docker")
    assert [word for word in ours if word.encode() in wire] == []


@pytest.mark.parametrize("refusal", Refusal)
@pytest.mark.parametrize("tier", [0, 1, 2])
def test_every_refusal_says_what_was_seen_whether_it_was_believed_and_what_to_do(
    refusal: Refusal, tier: int
):
    one = refused(refusal, tier)
    details = details_of(one)

    assert isinstance(details["authenticated"], bool)
    assert {"host", "origin", "forwardedFor"} <= set(details["saw"])
    assert details["reason"]
    remedy = details["remedy"]
    assert remedy["sentence"].endswith(".")
    assert remedy["where"] in ("gateway-host", "container", "this-device", "browser")
    assert len(one.close_reason.encode()) <= MAX_REASON_BYTES
    for command in (remedy.get("command"), one.command):
        if command is not None:
            assert misfit(command_tree(), command.rpartition("openclaw ")[2]) is None
            assert shlex.split(command)


@pytest.mark.parametrize("refusal", Refusal)
@pytest.mark.parametrize("tier", [0, 1, 2])
def test_the_log_and_the_ring_have_all_of_it_whoever_was_refused(refusal: Refusal, tier: int):
    one = refused(refusal, tier)

    assert one.about["saw"]["peer"] == PEER
    assert one.about["saw"]["locality"]["why"]
    assert details_of(one)["remedy"]["sentence"] in one.sentence
    assert one.about["code"] == details_of(one).get("code", one.error.code)
    if one.command is not None:
        assert one.command.startswith(WORDS.local)
    assert one.hint in one.sentence or tier == 2


@pytest.mark.parametrize("refusal", Refusal)
def test_who_is_local_reads_the_command_of_the_log(refusal: Refusal):
    one = refused(refusal, 2)

    assert details_of(one)["remedy"].get("command") == one.command
    assert details_of(one)["saw"]["peer"] == PEER


def test_the_locked_out_learn_of_the_command_only_at_the_gateway_itself():
    far, near = (refused(Refusal.THROTTLED, tier) for tier in (0, 2))

    assert "command" not in details_of(far)["remedy"]
    assert far.command == f"{WORDS.local} gateway lockouts clear {PEER}"
    assert "gateway lockouts clear" in details_of(near)["remedy"]["command"]


def test_the_command_that_allows_a_page_keeps_those_allowed_already():
    far, near = (refused(Refusal.ORIGIN, tier) for tier in (0, 2))
    key = "config set gateway.controlUi.allowedOrigins"

    assert details_of(far)["remedy"]["command"] == f"openclaw {key} '[\"https://said.example\"]'"
    assert "replaces the whole list" in details_of(far)["remedy"]["sentence"]
    both = '["https://sentinel-origin.example", "https://said.example"]'
    assert far.command == f"{WORDS.local} {key} '{both}'"
    assert details_of(near)["remedy"]["command"] == far.command


@pytest.mark.parametrize("tier", [1, 2])
def test_the_command_that_trusts_a_proxy_keeps_those_trusted_already_where_they_may_be_told(
    tier: int,
):
    decision = RequirePairing(PairingReason.NOT_PAIRED)
    # Such a connection is never local; told to somebody who were, it would be told whole.
    wanted = met(tier, locality=attrs.evolve(BEHIND_IT, local=tier == 2))

    one = explain_pairing(decision, wanted, request_id=CODE, words=WORDS, lists=LISTS)

    key = "config set gateway.trustedProxies"
    assert f'`{WORDS.local} {key} \'["192.0.2.128/25", "{PEER}"]\'`' in one.hint
    assert one.about["requestId"] == CODE
    if tier == 1:
        sentence = details_of(one)["remedy"]["sentence"]
        assert f"`openclaw {key} '[\"{PEER}\"]'`; what is set replaces the whole list" in sentence
        assert one.hint in one.sentence


def test_who_forwards_nothing_or_is_trusted_is_no_proxy_to_add():
    trusted = an_address(
        "10.0.0.1", headers=(("X-Forwarded-For", "1.2.3.4"),), trusted=("10.0.0.1",)
    )

    assert proxy_hint(an_address("10.0.0.1")) == proxy_hint(trusted) == ""


@pytest.mark.parametrize(
    ("kept", "added", "text"),
    [
        pytest.param((), "a", "k '[\"a\"]'", id="first"),
        pytest.param(("a",), "a", "k '[\"a\"]'", id="there-already"),
        pytest.param(("a", "b"), "c", 'k \'["a", "b", "c"]\'', id="kept"),
    ],
)
def test_a_list_is_set_whole(kept: tuple[str, ...], added: str, text: str):
    assert set_list("k", kept, added) == text


@pytest.mark.parametrize("nasty", ["a'b", "$(id)", "`id`", "a\nb", '"', "'; rm -rf ~; '"])
def test_whatever_an_entry_holds_it_is_one_word_of_a_shell(nasty: str):
    words = shlex.split(set_list("k", (nasty,), "x"))

    assert len(words) == 2
    assert "x" in words[1]


def test_too_many_scopes_are_not_too_many_devices():
    decision = RequirePairing(PairingReason.SCOPE_UPGRADE)
    devices, scopes = (
        explain_full_list(decision, met(1), words=WORDS, too_many_scopes=many)
        for many in (False, True)
    )

    assert details_of(devices)["reason"] == "too-many-pending"
    assert details_of(scopes)["reason"] == "too-many-scopes"
    assert "more scopes than one request may hold" in details_of(scopes)["remedy"]["sentence"]
    assert scopes.close_reason.startswith("pairing required")
    assert len(scopes.close_reason.encode()) <= MAX_REASON_BYTES
    assert "devices wait" not in scopes.error.message


def test_an_accepted_credential_is_said_and_a_wrong_one_is_not():
    for refusal, tier in itertools.product(AFTER_IT, (0, 1)):
        wanted = met(tier, origin=None)  # a foreign page would be refused before its credential

        one = explain(Refuse(refusal), wanted, words=WORDS, lists=LISTS)

        assert details_of(one)["authenticated"] is bool(tier), refusal
        assert tier_of(wanted) == tier


def test_no_close_reason_holds_half_a_command():
    for refusal, tier in itertools.product(Refusal, (0, 1, 2)):
        reason = refused(refusal, tier).close_reason
        assert reason.count("(") == reason.count(")")
        assert not re.search(r"openclaw$", reason)
