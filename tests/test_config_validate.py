"""The rules of the model: what has no effect, and what is refused in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.config.model import RateLimitConfig
from stores.config.validate import all_keys, validate


def inside(path, value):
    """Return a document that holds ``value`` under a dotted path."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        pytest.param("meta", {"x": 1}, "meta has no effect", id="meta"),
        pytest.param("$schema", "x", "$schema has no effect", id="schema"),
        pytest.param("gateway.tailscale", {"mode": "off"}, "gateway.tailscale", id="tailscale"),
        pytest.param("gateway.nodes.browser", {}, "gateway.nodes.browser", id="nested"),
        pytest.param(
            "gateway.controlUi.allowInsecureAuth",
            True,
            "`gateway.controlUi.allowPlainHttp`",
            id="hint",
        ),
        pytest.param(
            "gateway.nodes.pairing.sshVerify", True, "sshVerify has no effect", id="branch"
        ),
        pytest.param(
            "gateway.controlUi.dangerouslyDisableDeviceAuth", False, "no effect", id="danger-off"
        ),
        pytest.param("gateway.bind", "auto", "auto means loopback", id="auto"),
        pytest.param("gatewy", {}, "did you mean `gateway`", id="root-typo"),
        pytest.param("trustedProxies", [], "did you mean `gateway.trustedProxies`", id="misplaced"),
        pytest.param("gateway.auth.rateLimit.maxAttempts", 0, "the default stays", id="zero"),
        pytest.param("gateway.auth.rateLimit.windowMs", -1, "the default stays", id="negative"),
        pytest.param(
            "gateway.auth.rateLimit.lockoutMs", float("nan"), "the default stays", id="nan"
        ),
    ],
)
def test_what_has_no_effect_is_one_warning(path, value, says):
    config, findings = validate(inside(path, value))

    assert config is not None
    assert config.gateway.auth.rate_limit == RateLimitConfig()
    assert len(findings.warnings) == 1
    assert says in findings.warnings[0]


def test_a_section_nobody_knows_is_carried_in_silence():
    config, findings = validate({"zzzzz": 1})

    assert config is not None
    assert findings.warnings == []


@pytest.mark.parametrize(
    ("path", "value", "problem", "remedy"),
    [
        pytest.param("gateway", [], "expected an object, got an array", "{ … }", id="section"),
        pytest.param("gateway.auth", "s3cret", "got a string", "{ … }", id="section-no-echo"),
        pytest.param("gateway.port", "18789", 'got "18789"', "", id="port-text"),
        pytest.param("gateway.port", True, "got true", "", id="port-true"),
        pytest.param("gateway.port", 0, "from 1 to 65535", "", id="port-zero"),
        pytest.param("gateway.port", 18789.0, "got 18789.0", "", id="port-float"),
        pytest.param("gateway.port", None, "got null", "", id="null"),
        pytest.param("gateway.bind", "0.0.0.0", "one of loopback", '"lan"', id="bind-address"),
        pytest.param("gateway.bind", "localhost", "one of loopback", '"loopback"', id="bind-name"),
        pytest.param("gateway.bind", 7, "one of loopback", "correct", id="bind-number"),
        pytest.param(
            "gateway.bind", "custom", "custom needs an address", "customBindHost", id="custom"
        ),
        pytest.param("gateway.customBindHost", "host", "an IP address", "", id="custom-host"),
        pytest.param("gateway.customBindHost", 7, "an IP address", "", id="custom-host-number"),
        pytest.param("gateway.auth.mode", "tokn", "one of none, token", '"token"', id="mode-typo"),
        pytest.param("gateway.auth.mode", "x" * 99, "a longer string", "", id="long-value"),
        pytest.param("gateway.auth.token", 5, "got a number", "${VARIABLE}", id="secret-number"),
        pytest.param(
            "gateway.auth.token", "__OPENCLAW_REDACTED__", "mark that hides", "", id="mark"
        ),
        pytest.param("gateway.auth.tokenFile", " ", "not empty", "", id="blank"),
        pytest.param("gateway.auth.rateLimit.maxAttempts", "3", "1 or more", "", id="limit-text"),
        pytest.param(
            "gateway.auth.trustedProxy.userHeader", "X User", "HTTP header", "", id="header"
        ),
        pytest.param("gateway.trustedProxies", "10.0.0.1", "an array of IP", "", id="proxies-text"),
        pytest.param(
            "gateway.trustedProxies", ["10.0.0.1", "x"], "Proxies.1: expected", "", id="proxy"
        ),
        pytest.param("gateway.trustedProxies", [7], "got 7", "", id="proxy-number"),
        pytest.param(
            "gateway.trustedProxies", ["0.0.0.0/0"], "/8 (IPv6 /16)", "proxies", id="wide"
        ),
        pytest.param(
            "gateway.trustedProxies", ["10.0.0.0/7"], "/8 (IPv6 /16)", "proxies", id="wide-7"
        ),
        pytest.param("gateway.trustedProxies", ["::/15"], "/8 (IPv6 /16)", "proxies", id="wide-6"),
        pytest.param(
            "gateway.trustedProxies", ["::ffff:0:0/96"], "/8 (IPv6", "proxies", id="mapped"
        ),
        pytest.param("gateway.publicOrigin", "https://a/b", "an origin", "", id="origin-path"),
        pytest.param(
            "gateway.publicOrigin", "ftp://a", "begins with https", "", id="origin-scheme"
        ),
        pytest.param("gateway.controlUi.allowedOrigins", ["*"], "an origin", "", id="origin-star"),
        pytest.param(
            "gateway.controlUi.allowedOrigins", ["https://*.a"], "an origin", "", id="star"
        ),
        pytest.param(
            "gateway.controlUi.allowedOrigins", ["null"], "an origin", "", id="origin-null"
        ),
        pytest.param("gateway.controlUi.basePath", "a b", "a path", "", id="base-path"),
        pytest.param("gateway.controlUi.basePath", "/../x", "dot segments", "", id="dots"),
        pytest.param("gateway.controlUi.enabled", "no", "true or false", "", id="boolean"),
        pytest.param("gateway.handshakeTimeoutMs", 1, "from 250", "", id="handshake"),
        pytest.param("gateway.remote.url", "example:1", "an address", "", id="url"),
        pytest.param("gateway.remote.url", "wss://u:p@h", "without credentials", "", id="userinfo"),
        pytest.param("gateway.remote.tlsFingerprint", "abc", "64 hex", "", id="fingerprint"),
        pytest.param("gateway.tls", {"certPath": "c"}, "belong together", "both", id="half-tls"),
        pytest.param("gateway.pairing.autoApprove", {}, "an array of objects", "[{", id="rules"),
        pytest.param(
            "gateway.pairing.autoApprove",
            [{"name": "x", "from": "0.0.0.0/0", "roles": ["operator"]}],
            "networks of /8",
            "the network that those devices are in",
            id="rule-for-everybody",
        ),
        pytest.param(
            "gateway.pairing.autoApprove", ["x"], "autoApprove.0: expected an obj", "", id="rule"
        ),
        pytest.param(
            "gateway.pairing.autoApprove", [{}], "required key missing", "name", id="empty-rule"
        ),
        pytest.param(
            "gateway.pairing.autoApprove",
            [{"name": "a", "from": "all", "roles": ["node"]}],
            'or "published-port"',
            "",
            id="rule-from",
        ),
        pytest.param(
            "gateway.pairing.autoApprove",
            [{"name": "a", "from": "10.0.0.1", "roles": ["node"], "scopes": ["operator.raed"]}],
            "expected a scope",
            "operator.read",
            id="rule-scope",
        ),
        pytest.param(
            "gateway.pairing.autoApprove",
            [{"name": "a", "from": "10.0.0.1", "roles": ["node"], "scopes": [1]}],
            "expected a scope",
            "correct",
            id="rule-scope-number",
        ),
        pytest.param(
            "gateway.pairing.autoApprove",
            [{"name": "a", "from": "10.0.0.1", "roles": ["node"]}] * 2,
            "two rules have the name 'a'",
            "its own",
            id="rule-twice",
        ),
        pytest.param("logging.level", "warning", "one of silent", '"warn"', id="level"),
        pytest.param(
            "gateway.auth.skipPairingForTokenAuth", True, "never was", "autoApprove", id="skip"
        ),
        pytest.param(
            "gateway.auth.allowInsecureAuth", True, "never was", "autoApprove", id="insecure"
        ),
        *(
            pytest.param(key, "open", "never was", "`openclaw devices list`", id=key)
            for key in ("gateway.dmPolicy", "gateway.auth.dmPolicy", "gateway.pairing.dmPolicy")
        ),
        pytest.param("gateway.token", "s3cret", "never was", "`gateway.auth.token`", id="short"),
        pytest.param(
            "gateway.controlUi.dangerouslyDisableDeviceAuth",
            True,
            "protection",
            "https",
            id="danger",
        ),
        pytest.param("gateway.dangerouslyAnything", 1, "protection", "remove", id="danger-any"),
        pytest.param(
            "gateway.trustedproxies", [], "unknown key", "`gateway.trustedProxies`", id="case"
        ),
        pytest.param(
            "gateway.auth.tokn", "s3cret", "unknown key", "`gateway.auth.token`", id="typo"
        ),
        pytest.param(
            "gateway.tailscal", {}, "unknown key", "`gateway.tailscale`", id="typo-accepted"
        ),
        pytest.param(
            "gateway.allowUsers", [], "unknown", "`gateway.auth.trustedProxy.allowUsers`", id="far"
        ),
        pytest.param("gateway.zzzzzzz", 1, "unknown key", "remove the key", id="unknown"),
        pytest.param("logging.levl", "info", "unknown key", "`logging.level`", id="logging"),
        pytest.param(
            "gateway.nodes.pairing.autoAproveLocal",
            False,
            "unknown key",
            "autoApproveLocal",
            id="branch",
        ),
        pytest.param("gateway.nodes.pairing", 5, "expected an object", "", id="branch-number"),
    ],
)
def test_what_is_wrong_is_refused_with_its_key_and_a_way_out(path, value, problem, remedy):
    config, findings = validate(inside(path, value))

    assert config is None
    found = findings.problems[0]
    assert ".".join(found.path).startswith(path)
    assert problem in f"{'.'.join(found.path)}: {found.text}"
    assert remedy in found.remedy
    assert "s3cret" not in found.text + found.remedy


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        pytest.param({"token": "a", "password": "b"}, "both set, and no mode", id="values"),
        pytest.param({"tokenFile": "a", "passwordFile": "b"}, "both set, and no mode", id="files"),
        pytest.param({"token": "a", "tokenFile": "b"}, "gateway.auth.tokenFile", id="token"),
        pytest.param(
            {"password": "a", "passwordFile": "b"}, "gateway.auth.passwordFile", id="password"
        ),
    ],
)
def test_two_secrets_without_a_rule_are_refused(auth, problem):
    config, findings = validate({"gateway": {"auth": auth}})

    assert config is None
    assert problem in findings.problems[0].text


RULE = {"name": "a", "from": "10.0.0.1", "roles": ["operator"], "scopes": ["operator.read"]}
BY_PROXY = {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}}
HERE = ["127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("gateway", "warning"),
    [
        pytest.param(
            {"auth": BY_PROXY, "trustedProxies": HERE},
            "`openclaw config set gateway.auth.trustedProxy.allowLoopback true`",
            id="nobody-gets-in",
        ),
        pytest.param(
            {"auth": BY_PROXY | {"token": "t"}, "trustedProxies": ["10.0.0.1"]},
            "gateway.auth.token is not used",
            id="unused-token",
        ),
        pytest.param(
            {"auth": BY_PROXY | {"passwordFile": "f"}, "trustedProxies": ["10.0.0.1"]},
            "gateway.auth.passwordFile is not used",
            id="unused-file",
        ),
        pytest.param(
            {"pairing": {"autoApprove": [RULE | {"from": "127.0.0.0/8"}]}},
            "the rule 'a' names this machine and lets nobody in",
            id="loopback-rule",
        ),
        pytest.param(
            {"pairing": {"autoApprove": [RULE | {"scopes": []}]}},
            "the rule 'a' grants no scopes",
            id="rule-without-scopes",
        ),
        pytest.param(
            {"pairing": {"autoApprove": [RULE]}, "auth": {"mode": "none"}},
            "gateway.pairing.autoApprove lets nobody in",
            id="rule-without-secret",
        ),
    ],
)
def test_what_lets_nobody_in_or_does_not_count_is_warned_of(gateway, warning):
    config, findings = validate({"gateway": gateway})

    assert config is not None
    assert [warning in text for text in findings.warnings] == [True]


@pytest.mark.parametrize(
    "gateway",
    [
        pytest.param({"auth": BY_PROXY, "trustedProxies": ["10.0.0.1"]}, id="proxy"),
        pytest.param(
            {
                "auth": BY_PROXY | {"trustedProxy": {"userHeader": "u", "allowLoopback": True}},
                "trustedProxies": HERE,
            },
            id="proxy-here",
        ),
        pytest.param({"trustedProxies": HERE}, id="another-mode"),
        pytest.param({"pairing": {"autoApprove": [RULE]}}, id="rule"),
        pytest.param(
            {"pairing": {"autoApprove": [RULE | {"roles": ["node"], "scopes": []}]}}, id="nodes"
        ),
    ],
)
def test_what_works_is_not_warned_of(gateway):
    config, findings = validate({"gateway": gateway})

    assert config is not None
    assert findings.warnings == []


def test_two_secrets_are_fine_when_the_mode_says_which_counts():
    config, _ = validate({"gateway": {"auth": {"token": "a", "password": "b", "mode": "token"}}})

    assert config is not None


def test_a_blank_secret_counts_as_none():
    config, _ = validate({"gateway": {"auth": {"token": " ", "password": "b"}}})

    assert config is not None
    assert config.gateway.auth.token is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*{p.rpartition(".")[2] for p in all_keys()}, "x", "$include"]),
                inner,
            )
        ),
        max_leaves=15,
    )
)
def test_any_value_anywhere_ends_in_a_configuration_or_in_problems(value):
    config, findings = validate({"gateway": value})

    assert (config is None) == bool(findings.problems)
