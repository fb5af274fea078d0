"""The schema says what the loader does."""

import json
import re
from pathlib import Path

import pytest

from stores.config import foreign
from stores.config.load import interpret
from stores.config.model import Config, keys_of
from stores.config.schema import DIALECT, config_schema
from stores.errors import ConfigError

SCHEMA = config_schema()
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
}


def fits(value, schema):
    """Tell whether a value is valid: as much of JSON Schema as ours uses."""
    if "$ref" in schema:
        target = SCHEMA
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        if not fits(value, target):
            return False
    if "anyOf" in schema and not any(fits(value, one) for one in schema["anyOf"]):
        return False
    if "const" in schema and value is not schema["const"]:
        return False
    wanted = TYPES.get(schema.get("type"))
    if wanted is not None and type(value) is not wanted:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get(
        "maximum", value
    ):
        return False
    if isinstance(value, list) and not all(fits(item, schema.get("items", {})) for item in value):
        return False
    return not isinstance(value, dict) or _members_fit(value, schema)


def _members_fit(value, schema):
    if any(key not in value for key in schema.get("required", ())):
        return False
    for key, item in value.items():
        patterns = [one for one in schema.get("patternProperties", {}) if re.search(one, key)]
        known = key in schema.get("properties", {})
        if known and not fits(item, schema["properties"][key]):
            return False
        if not all(fits(item, schema["patternProperties"][one]) for one in patterns):
            return False
        if not known and not patterns and schema.get("additionalProperties") is False:
            return False
    return True


def loads(document):
    try:
        interpret(Path("/s/openclaw.json"), json.dumps(document), {"PORT": "1", "MODE": "token"})
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="empty"),
        pytest.param({"gateway": {"port": 1, "bind": "lan"}}, id="ours"),
        pytest.param({"gateway": {"port": "1"}}, id="type"),
        pytest.param({"gateway": {"port": 70000}}, id="range"),
        pytest.param({"gateway": {"port": True}}, id="boolean-port"),
        pytest.param({"gateway": {"bind": "everywhere"}}, id="choice"),
        pytest.param({"gateway": {"auth": {"mode": "${MODE}"}}}, id="reference"),
        pytest.param({"gateway": {"prot": 1}}, id="unknown"),
        pytest.param({"gateway": {"auth": {"allowInsecureAuth": True}}}, id="never-a-key"),
        pytest.param({"gateway": {"auth": {"allowTailscale": True}}}, id="without-effect"),
        pytest.param({"gateway": {"tailscale": {"mode": "off"}}}, id="without-effect-section"),
        pytest.param({"gateway": {"nodes": {"allowCommands": ["a"]}}}, id="alias"),
        pytest.param({"gateway": {"nodes": {"allowCommands": 5}}}, id="alias-type"),
        pytest.param({"gateway": {"nodes": {"pairing": {"sshVerify": {}}}}}, id="branch"),
        pytest.param({"gateway": {"nodes": {"pairing": {"x": 1}}}}, id="branch-unknown"),
        pytest.param({"gateway": {"controlUi": {"dangerouslyDisableDeviceAuth": True}}}, id="danger"),
        pytest.param({"gateway": {"controlUi": {"dangerouslyDisableDeviceAuth": False}}}, id="no-danger"),
        pytest.param({"gateway": {"trustedProxies": ["10.0.0.1"]}}, id="array"),
        pytest.param({"gateway": {"trustedProxies": "10.0.0.1"}}, id="no-array"),
        pytest.param({"gateway": {"publicOrigin": "https://a"}}, id="origin"),
        pytest.param({"gateway": {"publicOrigin": "a"}}, id="no-origin"),
        pytest.param({"gateway": {"pairing": {"autoApprove": [{"name": "a"}]}}}, id="required"),
        pytest.param(
            {"gateway": {"pairing": {"autoApprove": [{"name": "a", "from": "::1", "roles": ["node"]}]}}},
            id="records",
        ),
        pytest.param({"logging": {"level": "loud"}}, id="level"),
        pytest.param({"agents": {"x": 1}, "anything": 2}, id="others"),
    ],
)  # fmt: skip
def test_the_schema_takes_what_the_loader_takes(document):
    assert fits(document, SCHEMA) is loads(document)


def test_it_names_its_dialect_and_is_json():
    assert SCHEMA["$schema"] == DIALECT
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_key_of_the_model_says_what_it_means_and_when_it_counts():
    def walk(record, schema):
        for key, attribute in keys_of(record).items():
            said = schema["properties"][key]
            assert said["description"] == attribute.metadata["doc"]
            below = attribute.metadata.get("section")
            if below:
                assert said["additionalProperties"] is False
                walk(below, said)
            else:
                assert said["x-reload"] == attribute.metadata["reload"]
                assert said.get("writeOnly", False) is attribute.metadata["secret"]

    walk(Config, SCHEMA)


def test_defaults_are_the_models():
    gateway = SCHEMA["properties"]["gateway"]["properties"]

    assert gateway["bind"]["default"] == "loopback"
    assert gateway["trustedProxies"]["default"] == []
    assert "default" not in gateway["port"]


@pytest.mark.parametrize("name", [name for name in foreign.WITHOUT_EFFECT if "." in name])
def test_a_key_without_effect_is_allowed_and_deprecated(name):
    schema = SCHEMA
    for key in name.split("."):
        schema = schema["properties"][key]

    assert schema["deprecated"] is True
    assert "without effect" in schema["description"]
