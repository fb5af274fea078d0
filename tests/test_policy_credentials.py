"""Which secret is right, and what is said of one that is not."""

from __future__ import annotations

import hashlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.credentials import (
    Accepted,
    AuthMode,
    AuthReason,
    Method,
    Rejected,
    SharedSecrets,
    Verdict,
    judge_credentials,
    same_secret,
)
from gateway.protocol.connect import NO_AUTH, AuthClaim
from stores.records import PairedDevice
from tests.facts import a_device, a_token

SECRET = "the gateway's own secret"
BY_TOKEN = SharedSecrets(AuthMode.TOKEN, SECRET)
BY_PASSWORD = SharedSecrets(AuthMode.PASSWORD, SECRET)
OLD = "a token of yesterday"
ROTATED = a_device(
    tokens={"operator": a_token(previous_token_sha256=hashlib.sha256(OLD.encode()).hexdigest())}
)
LIVE = "token-of-operator"


def wrong(reason: AuthReason) -> Rejected:
    return Rejected(reason, wrong=True)


def judge(
    auth: AuthClaim,
    *,
    secrets: SharedSecrets = BY_TOKEN,
    paired: PairedDevice | None = None,
    role: str = "operator",
) -> Verdict:
    return judge_credentials(secrets, auth, paired=paired, role=role)


@pytest.mark.parametrize(
    ("secrets", "auth", "method"),
    [
        pytest.param(BY_TOKEN, AuthClaim(token=SECRET), Method.TOKEN, id="token"),
        pytest.param(BY_TOKEN, AuthClaim(password=SECRET), Method.TOKEN, id="token-as-password"),
        pytest.param(BY_PASSWORD, AuthClaim(password=SECRET), Method.PASSWORD, id="password"),
        pytest.param(BY_PASSWORD, AuthClaim(token=SECRET), Method.PASSWORD, id="as-token"),
        pytest.param(
            BY_TOKEN,
            AuthClaim(token="x", password=SECRET, device_token="x", bootstrap_token="x"),
            Method.TOKEN,
            id="whatever-else-came",
        ),
        pytest.param(SharedSecrets(AuthMode.NONE), NO_AUTH, Method.NONE, id="mode-none"),
        pytest.param(
            SharedSecrets(AuthMode.NONE), AuthClaim(token="x"), Method.NONE, id="mode-none-and-any"
        ),
    ],
)
def test_the_gateways_own_secret_is_accepted_in_either_field(secrets, auth, method):
    assert judge(auth, secrets=secrets) == Accepted(method)


@pytest.mark.parametrize(
    "auth",
    [
        AuthClaim(device_token=LIVE),
        AuthClaim(token=LIVE),
        AuthClaim(device_token=LIVE, token="x"),
        AuthClaim(device_token=LIVE, bootstrap_token="used"),
    ],
)
def test_a_live_device_token_is_accepted(auth):
    assert judge(auth, paired=a_device()) == Accepted(Method.DEVICE_TOKEN)


@pytest.mark.parametrize(
    ("paired", "role"),
    [
        pytest.param(None, "operator", id="nobody-knows-the-device"),
        pytest.param(a_device(), "node", id="another-role"),
        pytest.param(a_device(roles=(), revoked=("operator",)), "operator", id="revoked"),
        pytest.param(
            a_device(roles=("node",), tokens={"operator": a_token()}),
            "operator",
            id="role-never-approved",
        ),
        pytest.param(a_device(tokens={}), "operator", id="no-token-on-file"),
    ],
)
def test_a_device_token_opens_its_own_live_role_only(paired, role):
    auth = AuthClaim(device_token=LIVE)

    verdict = judge(auth, paired=paired, role=role)

    assert verdict == wrong(AuthReason.DEVICE_TOKEN_MISMATCH)


def test_a_device_token_is_no_shared_secret():
    assert not Accepted(Method.DEVICE_TOKEN).shared
    assert not Accepted(Method.NONE).shared
    assert Accepted(Method.TOKEN).shared
    assert Accepted(Method.PASSWORD).shared


@pytest.mark.parametrize(
    ("auth", "verdict"),
    [
        pytest.param(NO_AUTH, Rejected(AuthReason.TOKEN_MISSING, wrong=False), id="nothing"),
        pytest.param(
            AuthClaim(token="", password="", device_token="", bootstrap_token=""),
            Rejected(AuthReason.TOKEN_MISSING, wrong=False),
            id="empty",
        ),
        pytest.param(AuthClaim(token="x"), wrong(AuthReason.TOKEN_MISMATCH), id="token"),
        pytest.param(AuthClaim(password="x"), wrong(AuthReason.TOKEN_MISMATCH), id="password"),
        pytest.param(
            AuthClaim(token="x", device_token="y"), wrong(AuthReason.TOKEN_MISMATCH), id="both"
        ),
        pytest.param(
            AuthClaim(device_token="x"), wrong(AuthReason.DEVICE_TOKEN_MISMATCH), id="device-token"
        ),
        pytest.param(
            AuthClaim(bootstrap_token="x", token="y"),
            wrong(AuthReason.BOOTSTRAP_TOKEN_INVALID),
            id="setup-code",
        ),
    ],
)
def test_what_is_wrong_or_missing_is_named(auth, verdict):
    assert judge(auth) == verdict


def test_password_mode_speaks_of_passwords():
    assert judge(NO_AUTH, secrets=BY_PASSWORD) == Rejected(AuthReason.PASSWORD_MISSING, wrong=False)
    mismatch = judge(AuthClaim(token="x"), secrets=BY_PASSWORD)
    assert mismatch == wrong(AuthReason.PASSWORD_MISMATCH)


@pytest.mark.parametrize(
    ("sent", "paired", "reason"),
    [
        pytest.param("x", ROTATED, AuthReason.TOKEN_MISMATCH, id="mistyped"),
        pytest.param(OLD, None, AuthReason.TOKEN_MISMATCH, id="of-an-unknown-device"),
        pytest.param(OLD, a_device(), AuthReason.TOKEN_MISMATCH, id="never-its-own"),
        pytest.param(OLD, ROTATED, AuthReason.DEVICE_TOKEN_MISMATCH, id="rotated"),
        pytest.param(
            LIVE,
            a_device(roles=(), revoked=("operator",)),
            AuthReason.DEVICE_TOKEN_MISMATCH,
            id="revoked",
        ),
        pytest.param(
            "token-of-node",
            a_device(roles=("operator", "node")),
            AuthReason.DEVICE_TOKEN_MISMATCH,
            id="of-its-other-role",
        ),
    ],
)
def test_old_clients_are_told_to_drop_their_token_only_where_it_was_one(sent, paired, reason):
    assert judge(AuthClaim(token=sent), paired=paired) == wrong(reason)


@pytest.mark.parametrize("sent", ["x", OLD, LIVE, "token-of-node"])
@pytest.mark.parametrize(
    "paired", [None, ROTATED, a_device(roles=(), revoked=("operator",)), a_device(tokens={})]
)
def test_a_wrong_an_expired_and_a_revoked_device_token_are_told_alike(sent, paired):
    if paired is ROTATED and sent == LIVE:
        return

    verdict = judge(AuthClaim(device_token=sent), paired=paired)

    assert verdict == wrong(AuthReason.DEVICE_TOKEN_MISMATCH)


TEXT = st.none() | st.text(max_size=6) | st.sampled_from([SECRET, LIVE, OLD])
CLAIMS = st.builds(AuthClaim, token=TEXT, password=TEXT, device_token=TEXT, bootstrap_token=TEXT)


@given(auth=CLAIMS, role=st.sampled_from(["operator", "node"]))
def test_only_a_right_secret_is_accepted(auth, role):
    device = a_device(roles=("operator", "node"))

    verdict = judge(auth, paired=device, role=role)

    shared = SECRET in (auth.token, auth.password)
    own = f"token-of-{role}" in (auth.token, auth.device_token)
    assert isinstance(verdict, Accepted) is (shared or own)


@given(auth=CLAIMS)
def test_nothing_is_wrong_exactly_when_nothing_was_sent(auth):
    verdict = judge(auth)

    if isinstance(verdict, Rejected):
        assert verdict.wrong is any(attrs.astuple(auth))


@given(mine=st.text(max_size=8), theirs=st.text(max_size=8))
def test_secrets_are_the_same_only_if_they_are_equal_and_not_empty(mine, theirs):
    assert same_secret(mine, theirs) is (mine == theirs and mine != "")
    assert not same_secret(None, theirs)
    assert not same_secret(mine, None)


def test_a_gateway_without_a_secret_accepts_none():
    nothing = SharedSecrets(AuthMode.TOKEN, "")

    assert judge(AuthClaim(token=""), secrets=nothing) == Rejected(
        AuthReason.TOKEN_MISSING, wrong=False
    )


def test_secrets_do_not_show_in_a_traceback():
    assert SECRET not in repr(BY_TOKEN)
    assert SECRET not in repr(AuthClaim(token=SECRET))
