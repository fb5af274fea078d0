"""How much a refused client is told: no more than it has proven, to the byte."""

from __future__ import annotations

import pytest

from gateway.policy.seen import tier_of
from gateway.protocol.connect import AuthClaim
from stores.scopes import ADMIN
from tests.facts import a_device, a_token, facts
from tests.refusals import (
    CODE,
    COMPOSE,
    DOCKER,
    SECRET,
    UNPROVEN,
    details_of,
    knocking,
    on_the_wire,
    told,
)

#: Everything that is ours to tell or not: no address, path, container or user of it at tier 0.
OURS = ("127.0.0.1", "10.0.0.7", "/opt/gateway", "0123456789ab", "docker")

#: What is refused before any secret is looked at.
EARLY = [UNPROVEN[name] for name in ("protocol", "role", "origin", "proof", "locked")]
ON_FILE = {
    "unknown": None,
    "paired": a_device((ADMIN,), platform="darwin"),
    "node": a_device(roles=("node",)),
    "revoked": a_device(roles=(), revoked=("operator",)),
    "rotated": a_device(tokens={"operator": a_token(previous_token_sha256="0" * 64)}),
    "empty": a_device(tokens={}),
}


@pytest.mark.parametrize("situation", UNPROVEN.values(), ids=UNPROVEN)
def test_who_proved_nothing_reads_its_own_words_and_nothing_of_ours(situation):
    for paired in ON_FILE.values():
        wanted = knocking(situation, paired)
        refused = told(wanted, words=DOCKER)

        assert tier_of(wanted) == 0
        assert not [word for word in OURS if word.encode() in on_the_wire(refused)]
        details = details_of(refused)
        assert "requestId" not in details
        assert details.get("authenticated", False) is False
        assert set(details.get("saw", ())) <= {"host", "origin", "forwardedFor"}


@pytest.mark.parametrize("situation", UNPROVEN.values(), ids=UNPROVEN)
@pytest.mark.parametrize("mode", ["cli", "probe"])
def test_what_is_on_file_changes_no_byte_for_who_proved_nothing(situation, mode):
    answers = {
        on_the_wire(told(knocking(situation, paired, mode=mode, blocked=blocked)))
        for paired in ON_FILE.values()
        for blocked in (False, True)
    }

    assert len(answers) == 1


@pytest.mark.parametrize("early", EARLY)
def test_a_right_secret_changes_no_byte_of_an_early_refusal(early):
    right, wrong = (
        on_the_wire(told(knocking(early, None, auth=AuthClaim(token=token))))
        for token in (SECRET, "wrong")
    )

    assert right == wrong


@pytest.mark.parametrize("scopes", [(), ("operator.read",), (ADMIN,), ("no.such.scope",)])
@pytest.mark.parametrize("role", ["operator", "node"])
def test_role_and_scopes_change_no_byte_before_a_credential(scopes, role):
    plain = on_the_wire(told(knocking({"auth": AuthClaim(token="wrong")}, None)))
    asked = knocking({"auth": AuthClaim(token="wrong")}, None, scopes=scopes, role=role)

    assert on_the_wire(told(asked)) == plain


def test_with_a_credential_the_peer_to_trust_and_the_request_are_told():
    details = details_of(told(knocking({}, None), words=DOCKER))

    assert details["requestId"] == CODE
    assert details["saw"]["client"] == "10.0.0.7"
    assert details["saw"]["peer"] == "10.0.0.7"
    assert details["saw"]["locality"] == {"local": False, "why": "untrusted-proxy"}
    assert """set gateway.trustedProxies '["10.0.0.7"]'`""" in details["remedy"]["sentence"]
    assert details["remedy"]["command"] == f"openclaw devices approve {CODE}"
    assert details["remedy"]["where"] == "gateway-host"


def test_with_a_credential_alone_a_trusted_proxy_stays_untold():
    details = details_of(told(knocking({"trusted": ("10.0.0.0/24",)}, None), words=DOCKER))

    assert details["saw"]["client"] == "203.0.113.9"
    assert "peer" not in details["saw"]
    assert "10.0.0.7" not in str(details)


@pytest.mark.parametrize("words", [DOCKER, COMPOSE])
def test_who_is_local_is_told_everything(words):
    wanted = facts(auto_approve_local=False)

    details = details_of(told(wanted, words=words))

    assert tier_of(wanted) == 2
    assert details["saw"]["peer"] == "127.0.0.1"
    assert details["remedy"]["command"].startswith("docker")
    assert details["remedy"]["where"] == "container"
