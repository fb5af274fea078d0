"""What is known of a key by its path alone."""

import pytest

from stores.config import foreign
from stores.config.keypath import MISSING, parse_key
from stores.config.known import Standing, know, value_of, written_path
from stores.config.validate import all_keys


@pytest.mark.parametrize("key", all_keys())
def test_every_key_of_the_model_is_ours(key):
    assert know(parse_key(key)).standing is Standing.OURS


@pytest.mark.parametrize("key", foreign.WITHOUT_EFFECT)
def test_a_key_without_effect_says_so_and_so_does_what_is_below(key):
    assert know(parse_key(key)).standing is Standing.WITHOUT_EFFECT
    assert know((*parse_key(key), "below")).standing is Standing.WITHOUT_EFFECT


@pytest.mark.parametrize(("key", "hint"), foreign.REFUSED.items(), ids=list(foreign.REFUSED))
def test_a_key_that_never_was_points_to_what_was_meant(key, hint):
    known = know(parse_key(key))

    assert (known.standing, known.hint) == (Standing.UNKNOWN, hint)


@pytest.mark.parametrize(
    ("key", "standing", "hint"),
    [
        pytest.param("gateway.prot", Standing.UNKNOWN, "did you mean `gateway.port`?", id="slip"),
        pytest.param("gateway.zzz", Standing.UNKNOWN, "", id="nonsense"),
        pytest.param("gateway.port.x", Standing.UNKNOWN, "", id="below-a-value"),
        pytest.param("gateway.trustedProxies[0]", Standing.OURS, "", id="item"),
        pytest.param("gateway.trustedProxies[0].x", Standing.UNKNOWN, "", id="below-an-item"),
        pytest.param("gateway.pairing.autoApprove[0].roles", Standing.OURS, "", id="record"),
        pytest.param(
            "gateway.pairing.autoApprove[0].role",
            Standing.UNKNOWN,
            "did you mean `gateway.pairing.autoApprove.0.roles`?",
            id="record-slip",
        ),
        pytest.param("gateway.nodes.pairing", Standing.WITHOUT_EFFECT, "", id="branch"),
        pytest.param("gateway.$include", Standing.OURS, "", id="include"),
        pytest.param("$include", Standing.CARRIED, "", id="root-include"),
        pytest.param("channels.telegram.botToken", Standing.CARRIED, "", id="carried"),
        pytest.param("meta.lastTouchedVersion", Standing.WITHOUT_EFFECT, "", id="meta"),
        pytest.param("port", Standing.UNKNOWN, "did you mean `gateway.port`?", id="root"),
        pytest.param(
            "gatway.port", Standing.UNKNOWN, "did you mean `gateway.port`?", id="root-slip"
        ),
        pytest.param("zzzzzz", Standing.UNKNOWN, "", id="root-nonsense"),
        pytest.param(
            "gateway.controlUi.dangerouslyDisableDeviceAuth",
            Standing.UNKNOWN,
            foreign.INSTEAD_OF_DANGEROUS["dangerouslyDisableDeviceAuth"],
            id="dangerous",
        ),
    ],
)
def test_a_key_has_a_standing_and_a_hint(key, standing, hint):
    known = know(parse_key(key))

    assert (known.standing, known.hint) == (standing, hint)


def test_an_older_spelling_is_the_key_of_the_model():
    assert know(parse_key("gateway.nodes.allowCommands")).path == (
        *("gateway", "nodes", "commands", "allow"),
    )


def test_facts_of_a_key():
    port, bind = know(("gateway", "port")), know(("gateway", "bind"))
    token, auth = know(("gateway", "auth", "token")), know(("gateway", "auth"))

    assert (port.default, bind.default, auth.default) == (MISSING, "loopback", MISSING)
    assert know(("gateway", "zzz")).default is MISSING
    assert (port.reload, token.reload, auth.reload) == ("restart", "hot", None)
    assert know(("gateway", "zzz")).reload is None
    assert (token.is_secret, port.is_secret) == (True, False)
    assert (port.schema["type"], auth.schema) == ("integer", {})
    assert know(("gateway", "trustedProxies")).default == []


def test_a_value_is_found_in_whatever_spelling():
    document = {"gateway": {"nodes": {"allowCommands": ["a"]}}}
    path = ("gateway", "nodes", "commands", "allow")

    assert value_of(document, path) == ["a"]
    assert written_path(document, path) == ("gateway", "nodes", "allowCommands")
    assert written_path({}, path) == path
    assert value_of(document, ("gateway", "port")) is MISSING
