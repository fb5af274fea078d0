"""Who may say which user is there, and what does not count as saying it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import attrs
import pytest

from gateway.policy.credentials import (
    Accepted,
    AuthMode,
    AuthReason,
    Method,
    Rejected,
    SharedSecrets,
    Verdict,
    judge_credentials,
)
from gateway.policy.proxy_auth import ProxyAuth, judge_identity, still_vouched
from gateway.protocol.connect import NO_AUTH, AuthClaim
from tests.facts import a_device

PROXY, STRANGER, OWN = "10.0.0.1", "10.0.0.66", "10.0.0.5"
TRUSTED = (ip_network("10.0.0.1"), ip_network("10.0.0.5"), ip_network("127.0.0.1"))
RULE = ProxyAuth("x-user", own_addresses=frozenset({ip_address(OWN)}))
ALICE = (b"x-user", b"alice")
SERVED = SharedSecrets(AuthMode.TRUSTED_PROXY)
LIVE = "token-of-operator"


def identity(
    *headers: tuple[bytes, bytes],
    peer: str = PROXY,
    local_end: str = "10.0.0.9",
    past: bool = False,
    **changes: Any,
) -> Verdict:
    """Judge a request of the proxy that carries these headers."""
    return judge_identity(
        attrs.evolve(RULE, **changes),
        TRUSTED,
        peer=ip_address(peer),
        local_end=ip_address(local_end),
        headers=headers,
        past=past,
    )


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        pytest.param((ALICE,), {}, id="any-user"),
        pytest.param(((b"x-user", b"  alice "),), {}, id="spaces"),
        pytest.param((ALICE,), {"allow_users": frozenset({"bob", "alice"})}, id="on-the-list"),
        pytest.param((ALICE, (b"x-sig", b"1")), {"required_headers": ("x-sig",)}, id="required"),
        pytest.param((ALICE,), {"peer": "127.0.0.1", "allow_loopback": True}, id="loopback"),
        pytest.param((ALICE,), {"peer": OWN, "allow_loopback": True}, id="own-address"),
        pytest.param((ALICE, (b"x-openclaw-scopes", b"operator.admin")), {}, id="scopes-header"),
    ],
)
def test_the_proxy_says_who_is_there(headers, changes):
    assert identity(*headers, **changes) == Accepted(Method.TRUSTED_PROXY, user="alice")


@pytest.mark.parametrize(
    ("headers", "changes", "reason", "claimed"),
    [
        pytest.param(
            (ALICE,), {"peer": STRANGER}, AuthReason.PROXY_UNTRUSTED_SOURCE, True, id="forged"
        ),
        pytest.param((), {"peer": STRANGER}, AuthReason.PROXY_UNTRUSTED_SOURCE, False, id="direct"),
        pytest.param(
            (ALICE,), {"peer": "127.0.0.1"}, AuthReason.PROXY_LOOPBACK_SOURCE, True, id="loopback"
        ),
        pytest.param((ALICE,), {"peer": OWN}, AuthReason.PROXY_LOOPBACK_SOURCE, True, id="own"),
        pytest.param(
            (ALICE,), {"local_end": PROXY}, AuthReason.PROXY_LOOPBACK_SOURCE, True, id="local-end"
        ),
        pytest.param(
            (ALICE,),
            {"peer": "127.0.0.2", "allow_loopback": True},
            AuthReason.PROXY_UNTRUSTED_SOURCE,
            True,
            id="loopback-not-listed",
        ),
        pytest.param((), {}, AuthReason.PROXY_USER_MISSING, True, id="no-user"),
        pytest.param(((b"x-user", b" "),), {}, AuthReason.PROXY_USER_MISSING, True, id="blank"),
        pytest.param(
            ((b"x-user", b"a" * 257),), {}, AuthReason.PROXY_USER_MISSING, True, id="too-long"
        ),
        pytest.param(
            (ALICE, (b"x-user", b"mallory")), {}, AuthReason.PROXY_USER_AMBIGUOUS, True, id="twice"
        ),
        pytest.param((ALICE, ALICE), {}, AuthReason.PROXY_USER_AMBIGUOUS, True, id="twice-alike"),
        pytest.param(
            (ALICE,),
            {"allow_users": frozenset({"Alice"})},
            AuthReason.PROXY_USER_NOT_ALLOWED,
            True,
            id="another-spelling",
        ),
    ],
)
def test_a_word_that_does_not_count_names_nobody(headers, changes, reason, claimed):
    assert identity(*headers, **changes) == Rejected(reason, wrong=False, claimed=claimed)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((ALICE,), id="missing"),
        pytest.param((ALICE, (b"x-sig", b" ")), id="empty"),
        pytest.param((ALICE, (b"x-sig", b"1"), (b"x-sig", b"2")), id="twice"),
    ],
)
def test_a_required_header_that_is_not_there_once_is_named(headers):
    found = identity(*headers, required_headers=("x-sig",))

    assert isinstance(found, Rejected)
    assert (found.reason, found.header) == (AuthReason.PROXY_MISSING_HEADER, "x-sig")
    assert found.wire_reason == "trusted_proxy_missing_header_x-sig"


def judged(auth: AuthClaim = NO_AUTH, word: Verdict | None = None, **changes: Any) -> Verdict:
    """Judge what a client of mode trusted-proxy sent, with a paired device unless changed."""
    wanted: dict[str, Any] = {"paired": a_device(), "role": "operator"} | changes
    return judge_credentials(SERVED, auth, identity=word, **wanted)


def test_a_user_the_proxy_named_needs_no_secret():
    assert judged(word=identity(ALICE)) == Accepted(Method.TRUSTED_PROXY, user="alice")


@pytest.mark.parametrize("field", ["device_token", "token"])
def test_past_the_proxy_a_paired_device_comes_with_its_own_token(field):
    assert judged(AuthClaim(**{field: LIVE}), identity(peer=STRANGER)) == Accepted(
        Method.DEVICE_TOKEN
    )


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(identity(), id="no-user"),
        pytest.param(identity(ALICE, peer=STRANGER), id="forged"),
        pytest.param(identity(ALICE, peer="127.0.0.1"), id="forged-here"),
        pytest.param(identity(ALICE, allow_users=frozenset({"bob"})), id="not-allowed"),
    ],
)
def test_no_device_token_stands_in_for_a_user_who_is_not_let_in(word):
    assert judged(AuthClaim(device_token=LIVE), word) == word


@pytest.mark.parametrize(
    ("auth", "changes", "reason", "wrong"),
    [
        pytest.param(NO_AUTH, {}, AuthReason.PROXY_UNTRUSTED_SOURCE, False, id="nothing"),
        pytest.param(
            AuthClaim(device_token="x"), {}, AuthReason.DEVICE_TOKEN_MISMATCH, True, id="device"
        ),
        pytest.param(
            AuthClaim(device_token=LIVE),
            {"paired": None},
            AuthReason.DEVICE_TOKEN_MISMATCH,
            True,
            id="unknown-device",
        ),
        pytest.param(
            AuthClaim(device_token=LIVE),
            {"role": "node"},
            AuthReason.DEVICE_TOKEN_MISMATCH,
            True,
            id="another-role",
        ),
        pytest.param(
            AuthClaim(token="x"), {}, AuthReason.PROXY_UNTRUSTED_SOURCE, True, id="a-secret"
        ),
        pytest.param(
            AuthClaim(password="x"), {}, AuthReason.PROXY_UNTRUSTED_SOURCE, True, id="a-password"
        ),
        pytest.param(
            AuthClaim(token=""), {}, AuthReason.PROXY_UNTRUSTED_SOURCE, False, id="empty-token"
        ),
    ],
)
def test_there_is_no_shared_secret_to_guess(auth, changes, reason, wrong):
    assert judged(auth, identity(peer=STRANGER), **changes) == Rejected(reason, wrong=wrong)


def test_a_connection_nobody_judged_is_not_let_in():
    assert judged(word=None) == Rejected(AuthReason.PROXY_UNTRUSTED_SOURCE, wrong=False)


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        pytest.param({}, True, id="nothing-changed"),
        pytest.param({"allow_users": frozenset({"alice"})}, True, id="still-listed"),
        pytest.param({"allow_users": frozenset({"bob"})}, False, id="off-the-list"),
        pytest.param({"user_header": "x-other"}, False, id="another-header"),
        pytest.param({"required_headers": ("x-sig",)}, True, id="as-many-headers"),
        pytest.param({"required_headers": ("x-sig", "x-more")}, False, id="one-more-header"),
        pytest.param({"required_headers": ()}, True, id="fewer-headers"),
        pytest.param({"trusted": ()}, False, id="proxy-not-trusted"),
        pytest.param({"own_addresses": frozenset({ip_address(PROXY)})}, False, id="own-address"),
    ],
)
def test_a_narrower_configuration_is_held_against_who_is_in(changes, stays):
    trusted = changes.pop("trusted", TRUSTED)
    before = attrs.evolve(RULE, required_headers=("x-sig",))

    assert (
        still_vouched(
            before,
            attrs.evolve(before, **changes),
            trusted,
            user="alice",
            peer=ip_address(PROXY),
            local_end=ip_address("10.0.0.9"),
        )
        is stays
    )


@pytest.mark.parametrize(
    ("headers", "past", "claimed"),
    [
        pytest.param((), True, False, id="own-command"),
        pytest.param((), False, True, id="the-proxy"),
        pytest.param(((b"x-sig", b"1"),), True, True, id="required-header"),
        pytest.param(((b"x-user", b""),), True, True, id="empty-user"),
        pytest.param((ALICE, ALICE), True, True, id="ambiguous"),
    ],
)
def test_only_what_the_proxy_had_no_part_in_may_prove_itself_otherwise(headers, past, claimed):
    here: dict[str, Any] = {"peer": "127.0.0.1", "allow_loopback": True}

    verdict = identity(*headers, past=past, required_headers=("x-sig",), **here)

    assert isinstance(verdict, Rejected)
    assert verdict.claimed is claimed


def test_to_come_past_the_proxy_lets_nobody_in_and_hides_no_user():
    here: dict[str, Any] = {"peer": "127.0.0.1", "allow_loopback": True, "past": True}

    assert identity(ALICE, **here) == Accepted(Method.TRUSTED_PROXY, user="alice")
    assert not isinstance(identity(**here), Accepted)
