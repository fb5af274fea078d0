"""Loading: what is accepted, what is warned about, what is refused and in which words."""

import hashlib
from ipaddress import ip_address, ip_network

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.config.load import load_config
from stores.config.model import (
    AuthMode,
    Bind,
    Config,
    GatewayMode,
    LogLevel,
    RateLimitConfig,
    keys_of,
)
from stores.config.validate import all_keys, validate
from stores.errors import ConfigError
from stores.paths import Paths
from stores.records import Role


def load(tmp_path, text, env=None, *, name="openclaw.json"):
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(Paths(tmp_path, tmp_path / name), env or {})


def refused(tmp_path, text, env=None, *, name="openclaw.json"):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, env, name=name)
    return caught.value


def inside(path, value):
    """Return a document that holds ``value`` under a dotted path."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


# --- what is there ---------------------------------------------------------------------------


def test_without_a_file_the_defaults_apply(tmp_path):
    loaded = load_config(Paths(tmp_path, tmp_path / "openclaw.json"), {})

    assert (loaded.config, loaded.exists, loaded.raw, loaded.document) == (Config(), False, "", {})
    assert loaded.warnings == ()


def test_the_defaults_are_the_documented_ones():
    gateway, logging = Config().gateway, Config().logging

    assert (gateway.mode, gateway.port, gateway.bind) == (GatewayMode.LOCAL, None, Bind.LOOPBACK)
    assert (gateway.auth.mode, gateway.auth.token) == (None, None)
    assert gateway.auth.rate_limit == RateLimitConfig(
        max_attempts=10, window_ms=60_000, lockout_ms=300_000
    )
    assert gateway.handshake_timeout_ms == 15_000
    assert (gateway.pairing.request_ttl_ms, gateway.pairing.max_pending) == (300_000, 200)
    assert gateway.pairing.auto_approve_local
    assert not gateway.control_ui.allow_plain_http
    assert (logging.level, logging.console_level) == (LogLevel.INFO, None)


def test_a_file_named_outright_that_is_missing_is_warned_about(tmp_path):
    paths = Paths(tmp_path, tmp_path / "typo.json", "--config")

    loaded = load_config(paths, {})

    assert not loaded.exists
    assert "typo.json (--config) does not exist" in loaded.warnings[0]


def test_a_toml_file_that_appeared_later_wins_and_the_other_is_reported(tmp_path):
    paths = Paths(tmp_path, tmp_path / "openclaw.json")
    (tmp_path / "openclaw.json").write_text('{"gateway": {"port": 1}}')
    (tmp_path / "openclaw.toml").write_text("[gateway]\nport = 2\n")

    loaded = load_config(paths, {})

    assert loaded.config.gateway.port == 2
    assert (loaded.path.name, loaded.ignored_path) == ("openclaw.toml", tmp_path / "openclaw.json")


def test_a_named_file_ignores_nothing(tmp_path):
    (tmp_path / "openclaw.toml").touch()
    (tmp_path / "openclaw.json").write_text("{}")

    loaded = load_config(Paths(tmp_path, tmp_path / "openclaw.json", "--config"), {})

    assert (loaded.path.name, loaded.ignored_path) == ("openclaw.json", None)


def test_the_digest_is_that_of_the_file(tmp_path):
    text = '{"gateway": {}} // é\r\n'

    assert load(tmp_path, text).digest == hashlib.sha256(text.encode()).hexdigest()
    assert load(tmp_path, text).raw == text


FULL = """
{
  gateway: {
    mode: 'local', port: 4000, bind: "custom", customBindHost: "192.168.0.80",
    auth: {
      mode: "trusted-proxy", token: "t", passwordFile: "/run/p",
      rateLimit: { maxAttempts: 3, windowMs: 1000, lockoutMs: 2000 },
      trustedProxy: {
        userHeader: "X-User", requiredHeaders: ["X-A"], allowUsers: ["u"], allowLoopback: true,
      },
    },
    trustedProxies: ["127.0.0.1", "192.168.178.5/24", "::1", "::ffff:10.0.0.0/104"],
    allowRealIpFallback: true,
    publicOrigin: "https://Gateway.Example/",
    handshakeTimeoutMs: 5000,
    tls: { enabled: true, autoGenerate: false, certPath: "c", keyPath: "k", caPath: "a" },
    remote: { url: "wss://r:1/x", token: "rt", password: "rp", tlsFingerprint: "SHA256:AA%s" },
    controlUi: {
      enabled: false, basePath: "ui/", allowPlainHttp: true,
      allowedOrigins: ["https://A:1", "chrome-extension://abc"],
    },
    pairing: {
      requestTtlMs: 60000, maxPending: 5, autoApproveLocal: false,
      autoApprove: [
        { name: "lan", from: "10.1.0.0/16", roles: ["operator"], scopes: ["operator.read"] },
        { name: "docker", from: "published-port", roles: ["node"] },
      ],
    },
    nodes: { commands: { allow: ["a"], deny: ["b"] } },
  },
  logging: { level: "debug", consoleLevel: "error", maxFileBytes: 65536 },
}
""" % (":aa" * 31)


def test_every_honoured_key_is_read(tmp_path):
    config = load(tmp_path, FULL).config
    gateway = config.gateway

    assert (gateway.port, gateway.bind) == (4000, Bind.CUSTOM)
    assert gateway.custom_bind_host == ip_address("192.168.0.80")
    assert (gateway.auth.mode, gateway.auth.token) == (AuthMode.TRUSTED_PROXY, "t")
    assert gateway.auth.trusted_proxy.user_header == "x-user"
    assert gateway.auth.trusted_proxy.required_headers == ("x-a",)
    assert gateway.trusted_proxies == tuple(
        map(ip_network, ("127.0.0.1", "192.168.178.0/24", "::1", "10.0.0.0/8"))
    )
    assert gateway.public_origin == "https://gateway.example"
    assert gateway.remote.tls_fingerprint == "aa" * 32
    assert gateway.control_ui.base_path == "/ui"
    assert gateway.control_ui.allowed_origins == ("https://a:1", "chrome-extension://abc")
    lan, docker = gateway.pairing.auto_approve
    assert (lan.source, lan.roles, lan.scopes) == (
        ip_network("10.1.0.0/16"),
        (Role.OPERATOR,),
        ("operator.read",),
    )
    assert (docker.source, docker.roles, docker.scopes) == ("published-port", (Role.NODE,), ())
    assert (gateway.nodes.commands.allow, gateway.nodes.commands.deny) == (("a",), ("b",))
    assert config.logging.console_level is LogLevel.ERROR


def test_the_example_above_sets_every_key(tmp_path):
    document = load(tmp_path, FULL).document

    def has(path):
        holder = document
        for key in path.split("."):
            if key not in holder:
                return False
            holder = holder[key]
        return True

    # the one pair that excludes each other is the exception
    assert [path for path in all_keys() if not has(path)] == [
        "gateway.auth.password",
        "gateway.auth.tokenFile",
    ]


def test_a_toml_file_says_the_same(tmp_path):
    text = '[gateway]\nport = 4000\ntrustedProxies = ["127.0.0.1"]\n[gateway.auth]\nmode = "none"\n'

    gateway = load(tmp_path, text, name="openclaw.toml").config.gateway

    assert (gateway.port, gateway.auth.mode) == (4000, AuthMode.NONE)


def test_no_secret_shows_in_a_representation(tmp_path):
    loaded = load(tmp_path, '{gateway: {auth: {token: "s3cret"}, remote: {password: "s3cret"}}}')

    assert "s3cret" not in repr(loaded)


def test_every_key_says_what_it_means_and_how_it_is_reloaded():
    def walk(record):
        for attribute in keys_of(record).values():
            notes = attribute.metadata
            assert notes["doc"].endswith(".")
            assert type(notes["secret"]) is bool
            below = notes.get("section") or notes.get("records")
            if "section" not in notes:
                assert notes["reload"] in ("hot", "restart")
            if below:
                walk(below)

    walk(Config)


# --- accepted, carried, aliases --------------------------------------------------------------


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


def test_sections_of_other_programs_are_carried_untouched(tmp_path):
    text = '{agents: {list: 7, $include: "gone.json"}, channels: {telegram: {botToken: "${NONE}"}}}'

    loaded = load(tmp_path, text)

    assert loaded.document["channels"] == {"telegram": {"botToken": "${NONE}"}}
    assert loaded.document["agents"] == {"list": 7, "$include": "gone.json"}
    assert loaded.warnings == ()


def test_older_spellings_are_read_as_the_same(tmp_path):
    text = '{gateway: {nodes: {allowCommands: ["a"], denyCommands: ["b"], pairing: {autoApproveLocal: false}}}}'

    gateway = load(tmp_path, text).config.gateway

    assert (gateway.nodes.commands.allow, gateway.nodes.commands.deny) == (("a",), ("b",))
    assert not gateway.pairing.auto_approve_local


def test_two_spellings_may_agree_but_not_differ(tmp_path):
    both = '{gateway: {nodes: {allowCommands: ["a"], commands: {allow: ["%s"]}}}}'

    assert load(tmp_path, both % "a").config.gateway.nodes.commands.allow == ("a",)
    assert "says something else than" in refused(tmp_path, both % "b").problem


def test_an_error_shows_the_spelling_of_the_file(tmp_path):
    error = refused(tmp_path, "{gateway: {nodes: {\nallowCommands: 7}}}")

    assert ":2: gateway.nodes.allowCommands: expected an array" in error.problem


def test_an_older_spelling_next_to_a_broken_section_does_not_hide_it(tmp_path):
    error = refused(tmp_path, '{gateway: {nodes: {commands: 5, allowCommands: ["a"]}}}')

    assert "gateway.nodes.commands: expected an object" in error.problem


# --- refused ---------------------------------------------------------------------------------


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


def test_two_secrets_are_fine_when_the_mode_says_which_counts():
    config, _ = validate({"gateway": {"auth": {"token": "a", "password": "b", "mode": "token"}}})

    assert config is not None


def test_a_blank_secret_counts_as_none():
    config, _ = validate({"gateway": {"auth": {"token": " ", "password": "b"}}})

    assert config is not None
    assert config.gateway.auth.token is None


def test_the_first_problem_is_told_and_the_others_are_counted(tmp_path):
    error = refused(tmp_path, '{gateway: {port: "1", bind: "x", auth: 5}}')

    assert error.problem.endswith('got "1" (and 2 more)')


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


# --- file and line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param('{"gateway": {\n  "auth": {\n    "mode": "x"\n}}}', 3, id="json"),
        pytest.param("// c\n{gateway: {auth: {\n\n'mode': 'x'}}}", 4, id="json5"),
        pytest.param('{"gateway": {\n"\\u0061uth": {"mode": "x"}}}', 2, id="escaped-key"),
    ],
)
def test_a_problem_names_its_line(tmp_path, text, line):
    problem = refused(tmp_path, text).problem

    assert problem.startswith(f"{tmp_path}/openclaw.json:{line}: gateway.auth.mode: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param('[gateway]\nport = 1\n[gateway.auth] # x\nmode = "x"\n', 4, id="table"),
        pytest.param('gateway.port = 1\ngateway.auth.mode = "x"\n', 2, id="dotted"),
        pytest.param('[gateway]\nauth.mode = "x"\n', 2, id="both"),
        pytest.param('[gateway]\n\nauth = {mode = "x"}\n', 3, id="inline-table-around"),
    ],
)
def test_a_problem_names_its_line_in_toml(tmp_path, text, line):
    problem = refused(tmp_path, text, name="openclaw.toml").problem

    assert problem.startswith(f"{tmp_path}/openclaw.toml:{line}: gateway.auth.mode: ")


def test_a_missing_key_names_the_line_of_what_misses_it(tmp_path):
    problem = refused(tmp_path, '{gateway: {pairing: {autoApprove: [\n{name: "a"},\n]}}}').problem

    assert ":2: gateway.pairing.autoApprove.0.from: required key missing" in problem


def test_a_problem_in_an_included_file_names_that_file(tmp_path):
    (tmp_path / "auth.json").write_text('{\n"mode": "x"}')

    problem = refused(tmp_path, '{gateway: {auth: {$include: "auth.json"}}}').problem

    assert problem.startswith(f"{tmp_path}/auth.json:2: gateway.auth.mode: ")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        pytest.param("openclaw.json", '{"a": 1\n"b"', ":2: not valid JSON5", id="json"),
        pytest.param("openclaw.json", "[]", ":1: expected an object", id="array"),
        pytest.param("openclaw.json", "", ": the file is empty", id="empty"),
        pytest.param("openclaw.json", b"{}\n// \xff", ":2: not UTF-8", id="bytes"),
        pytest.param("openclaw.json", "[" * 2000 + "]" * 2000, "nested too deep", id="deep"),
        pytest.param(
            "openclaw.toml", "a = 1\nb = = 2", ":2: not valid TOML, invalid value", id="toml"
        ),
        pytest.param(
            "openclaw.toml",
            "a = 1\na = 2",
            ": not valid TOML, cannot overwrite a value",
            id="toml-twice",
        ),
        pytest.param("openclaw.toml", "a =", "not valid TOML", id="toml-end"),
        pytest.param("openclaw.toml", "a = " + "[" * 2000, "nested too deep", id="toml-deep"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_never_taken_for_empty(tmp_path, name, text, problem):
    error = refused(tmp_path, text, name=name)

    assert problem in error.problem
    assert "correct the file" in error.remedy or "UTF-8" in error.remedy


def test_deep_sections_of_ours_are_refused(tmp_path):
    text = "{gateway: " + '{"a":' * 600 + "1" + "}" * 600 + "}"

    assert "nested too deep" in refused(tmp_path, text).problem


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "openclaw.json").mkdir()

    with pytest.raises(ConfigError, match="cannot read"):
        load_config(Paths(tmp_path, tmp_path / "openclaw.json"), {})


# --- variables -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("${A}", "one", id="whole"),
        pytest.param("x-${A}-${B_2}", "x-one-two", id="inside"),
        pytest.param("$${A}", "${A}", id="literal"),
        pytest.param("$$${A}", "$${A}", id="literal-after-dollar"),
        pytest.param("${a}", "${a}", id="lower-case"),
        pytest.param("$A ${} ${1}", "$A ${} ${1}", id="not-names"),
    ],
)
def test_variables_are_filled_in(tmp_path, text, value):
    loaded = load(
        tmp_path, f'{{gateway: {{auth: {{token: "{text}"}}}}}}', {"A": "one", "B_2": "two"}
    )

    assert loaded.config.gateway.auth.token == value
    assert loaded.document["gateway"]["auth"]["token"] == text


def test_variables_in_arrays_are_filled_in(tmp_path):
    loaded = load(tmp_path, '{gateway: {trustedProxies: ["${P}"]}}', {"P": "10.0.0.1"})

    assert loaded.config.gateway.trusted_proxies == (ip_network("10.0.0.1"),)


@pytest.mark.parametrize("env", [{}, {"NOPE": ""}], ids=["unset", "empty"])
def test_a_missing_variable_is_an_error_that_names_it(tmp_path, env):
    error = refused(tmp_path, '{gateway: {auth: {\ntoken: "${NOPE}"}}}', env)

    assert ":2: gateway.auth.token: the environment variable NOPE is not set" in error.problem


# --- includes --------------------------------------------------------------------------------


def test_files_are_included_in_order_and_siblings_win(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.json").write_text(
        '{gateway: {port: 1, bind: "lan", trustedProxies: ["10.0.0.1"]}, agents: {a: 1}}'
    )
    (tmp_path / "sub" / "two.toml").write_text(
        '[gateway]\nport = 2\nauth = {"$include" = "three.json"}\ntrustedProxies = []\n'
    )
    (tmp_path / "sub" / "three.json").write_text('{mode: "none"}')
    text = '{$include: ["one.json", "./sub/two.toml"], gateway: {bind: "auto"}}'

    loaded = load(tmp_path, text)

    gateway = loaded.config.gateway
    assert (gateway.port, gateway.bind, gateway.auth.mode) == (2, Bind.AUTO, AuthMode.NONE)
    assert gateway.trusted_proxies == ()
    assert loaded.document["agents"] == {"a": 1}
    assert [path.name for path in loaded.sources] == [
        "openclaw.json",
        "one.json",
        "two.toml",
        "three.json",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('{$include: "gone.json"}', "$include: the included file", id="missing"),
        pytest.param(
            "{gateway: {\n$include: 7}}", ":2: gateway.$include: expected the name", id="type"
        ),
        pytest.param('{$include: "list.json"}', "list.json:1: expected an object", id="array"),
        pytest.param('{$include: "loop.json"}', "more than 10 files", id="loop"),
    ],
)
def test_an_include_that_cannot_be_followed_is_an_error(tmp_path, text, problem):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "loop.json").write_text('{$include: "loop.json"}')

    assert problem in refused(tmp_path, text).problem


def test_names_in_the_configuration_are_relative_to_its_folder(tmp_path):
    loaded = load(tmp_path, "{}")

    assert loaded.resolve_file("run/token", {}) == tmp_path / "run/token"
    assert loaded.resolve_file("/run/token", {}).as_posix() == "/run/token"
    assert loaded.resolve_file("~/token", {"HOME": "/h"}).as_posix() == "/h/token"


def test_records_are_frozen():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Config().gateway.port = 1
