"""The configuration as JSON Schema (draft 2020-12), made from the model.

It describes the file, so a string may be a reference such as ``${NAME}`` wherever one is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from stores.config import foreign
from stores.config.model import Config, keys_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"$ref": "#/$defs/reference"}
_DEFS = {
    "reference": {
        "type": "string",
        "pattern": r"\$\{[A-Z_][A-Z0-9_]*\}",
        "description": "A string with a variable of the environment in it.",
    },
    "include": {
        "description": "Files whose keys belong here; keys beside it win.",
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}},
        ],
    },
}
_NO_EFFECT = "Accepted, without effect in this gateway."


def config_schema() -> dict[str, Any]:
    """Return the schema of a whole configuration file.

    Beside the standard words, ``writeOnly`` marks secrets and ``x-reload`` says whether a change
    is ``hot`` or needs a ``restart``.
    """
    root = _record(Config, ())
    root["additionalProperties"] = True  # the sections of other programs
    return {"$schema": DIALECT, "title": "OpenClaw gateway configuration", "$defs": _DEFS} | root


def _record(record: type, path: tuple[str, ...]) -> dict[str, Any]:
    properties = {
        key: _attribute(attribute, (*path, key)) for key, attribute in keys_of(record).items()
    }
    properties |= _others(path, properties)
    required = [key for key, item in keys_of(record).items() if item.default is attrs.NOTHING]
    return _object(properties) | ({"required": required} if required else {})


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**properties, "$include": {"$ref": "#/$defs/include"}},
        "patternProperties": {f"^{foreign.DANGEROUS_PREFIX}": {"const": False}},
        "additionalProperties": False,
    }


def _attribute(attribute: attrs.Attribute[Any], path: tuple[str, ...]) -> dict[str, Any]:
    notes = attribute.metadata
    said: dict[str, Any] = {"description": notes["doc"]}
    if "section" in notes:
        return said | _record(notes["section"], path)
    if "records" in notes:
        said |= {"type": "array", "items": _record(notes["records"], (*path, "[]"))}
    else:
        said = dict(notes["kind"].schema) | said
        said = _or_reference(said)
    if attribute.default is not attrs.NOTHING and attribute.default is not None:
        default = attribute.default
        said["default"] = list(default) if isinstance(default, tuple) else _plain(default)
    if notes["secret"]:
        said["writeOnly"] = True
    said["x-reload"] = notes["reload"]
    return said


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a string that must look like something be a reference instead."""
    if schema.get("type") == "array":
        return schema | {"items": _or_reference(dict(schema["items"]))}
    if "enum" not in schema and "pattern" not in schema:
        return schema
    rest = {key: schema[key] for key in schema if key not in ("type", "enum", "pattern")}
    limits = {key: schema[key] for key in ("type", "enum", "pattern") if key in schema}
    return {"anyOf": [limits, _REFERENCE]} | rest


def _others(path: tuple[str, ...], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a section that are read as others, or accepted without effect."""
    found: dict[str, Any] = {}
    for name in (*foreign.ALIASES, *foreign.WITHOUT_EFFECT):
        keys = tuple(name.split("."))
        if keys[:-1] == path:
            found[keys[-1]] = _other(name)
        elif len(keys) > len(path) + 1 and keys[: len(path)] == path:
            inside = keys[len(path)]
            if inside not in properties and inside not in found:
                found[inside] = _object(_others((*path, inside), {}))
    return found


def _other(name: str) -> dict[str, Any]:
    if name in foreign.ALIASES:
        new = foreign.ALIASES[name]
        pointer = "/properties/".join(("#", *new.split(".")))
        return {"$ref": pointer, "deprecated": True, "description": f"Read as {new}."}
    hint = foreign.WITHOUT_EFFECT[name]
    text = f"{_NO_EFFECT} {hint[:1].upper()}{hint[1:]}." if hint else _NO_EFFECT
    return {"deprecated": True, "description": text}
