"""Loading: what is accepted, what is warned about, what is refused and in which words."""

import hashlib
from ipaddress import ip_address, ip_network

import attrs
import pytest

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
from stores.config.validate import all_keys
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


def test_the_first_problem_is_told_and_the_others_are_counted(tmp_path):
    error = refused(tmp_path, '{gateway: {port: "1", bind: "x", auth: 5}}')

    assert error.problem.endswith('got "1" (and 2 more)')


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


@pytest.mark.parametrize("name", ["gateway", '"gateway"'], ids=["json5", "json"])
def test_deep_sections_of_ours_are_refused(tmp_path, name):
    text = f"{{{name}: " + '{"a":' * 600 + "1" + "}" * 600 + "}"

    assert "nested too deep" in refused(tmp_path, text).problem


def test_a_problem_beside_an_include_names_the_file_it_is_in(tmp_path):
    (tmp_path / "auth.json").write_text('{"mode": "none"}')

    problem = refused(tmp_path, '{gateway: {auth: {$include: "auth.json"},\nport: "x"}}').problem

    assert problem.startswith(f"{tmp_path}/openclaw.json:2: gateway.port: ")


def test_a_missing_key_is_not_looked_for_in_other_files(tmp_path):
    (tmp_path / "auth.json").write_text('{"mode": "none"}')
    text = '{gateway: {auth: {$include: "auth.json"},\npairing: {autoApprove: [{}]}}}'

    problem = refused(tmp_path, text).problem

    assert problem.startswith(f"{tmp_path}/openclaw.json:2: gateway.pairing.autoApprove.0.name: ")


def test_a_problem_beside_what_is_too_deep_to_search_names_the_file(tmp_path):
    text = '{"agents": ' + "[" * 700 + "]" * 700 + ', "gateway": {"port": "x"}}'

    assert refused(tmp_path, text).problem.startswith(f"{tmp_path}/openclaw.json: gateway.port: ")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "openclaw.json").mkdir()

    with pytest.raises(ConfigError, match="cannot read"):
        load_config(Paths(tmp_path, tmp_path / "openclaw.json"), {})


def test_names_in_the_configuration_are_relative_to_its_folder(tmp_path):
    loaded = load(tmp_path, "{}")

    assert loaded.resolve_file("run/token", {}) == tmp_path / "run/token"
    assert loaded.resolve_file("/run/token", {}).as_posix() == "/run/token"
    assert loaded.resolve_file("~/token", {"HOME": "/h"}).as_posix() == "/h/token"


def test_records_are_frozen():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Config().gateway.port = 1  # type: ignore[misc]  # it is what the test is about


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        pytest.param("[gateway]\n\n[gateway.auth]\nx.mode = 1\n", "gateway.auth.x", 4, id="dotted"),
        pytest.param(
            '[gateway]\ntrustedProxies = [\n"::1",\n"x"]\n',
            "gateway.trustedProxies.1",
            4,
            id="item",
        ),
        pytest.param("\n[gateway.auth.bad]\n", "gateway.auth.bad", 2, id="header"),
    ],
)
def test_a_toml_problem_is_found_wherever_its_key_is_written(tmp_path, text, key, line):
    problem = refused(tmp_path, text, name="openclaw.toml").problem

    assert problem.startswith(f"{tmp_path}/openclaw.toml:{line}: {key}: ")
