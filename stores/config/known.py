"""What is known of a key by its path: its place in the model, and what to say of one without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import attrs
from attrs import frozen

from stores.config import foreign
from stores.config.keypath import MISSING, KeyPath, dotted, look_up
from stores.config.kinds import closest
from stores.config.model import Config, GatewayConfig, Reload, keys_of
from stores.config.redact import holds_secret


class Standing(StrEnum):
    """What a key is to this gateway."""

    OURS = "ours"
    WITHOUT_EFFECT = "without effect"
    CARRIED = "carried"
    UNKNOWN = "unknown"


@frozen
class Known:
    """A key: ``path`` in the spelling of the model, and its attribute if it has one there.

    ``hint`` says of an unknown key what was meant, of one without effect what to use instead.
    """

    path: KeyPath
    standing: Standing
    attribute: attrs.Attribute[Any] | None = None
    hint: str = ""

    @property
    def reload(self) -> Reload | None:
        """Whether a change counts at once; None where that depends on what is below."""
        return None if self.attribute is None else self.attribute.metadata.get("reload")

    @property
    def is_secret(self) -> bool:
        """Tell whether its value is never shown."""
        return holds_secret(self.path)

    @property
    def default(self) -> Any:
        """Its default as JSON, `MISSING` if it has none."""
        attribute = self.attribute
        if attribute is None or "section" in attribute.metadata:
            return MISSING
        if attribute.default is attrs.NOTHING or attribute.default is None:
            return MISSING
        default = attribute.default
        return list(default) if isinstance(default, tuple) else default

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of its value, empty for a section."""
        kind = self.attribute and self.attribute.metadata.get("kind")
        return kind.schema if kind else {}


def know(path: KeyPath) -> Known:
    """Look up a key, in any spelling that is read."""
    name = dotted(path)
    for old, new in foreign.ALIASES.items():
        if name == old or name.startswith(f"{old}."):
            return know((*new.split("."), *path[len(old.split(".")) :]))
    if path[0] not in foreign.OWNED:
        return _know_root(path)
    found: attrs.Attribute[Any] | None = None
    record: Any = Config
    for depth, key in enumerate(path):
        keys = keys_of(record) if record is not None else {}
        if key not in keys:
            if found is not None and _is_element(found, path[depth:]):
                return _element(found, path, depth)
            return _not_in_model(path, path[: depth + 1], record)
        found = keys[key]
        record = found.metadata.get("section")
    return Known(path, Standing.OURS, found)


def _is_element(found: attrs.Attribute[Any], rest: KeyPath) -> bool:
    """Tell whether a path goes on into an array of the model."""
    kind = found.metadata.get("kind")
    array = "records" in found.metadata or (kind and kind.schema.get("type") == "array")
    return bool(array) and rest[0].isdecimal()


def _element(found: attrs.Attribute[Any], path: KeyPath, depth: int) -> Known:
    rest = path[depth + 1 :]
    records = found.metadata.get("records")
    if not rest:
        return Known(path, Standing.OURS, found)
    keys = keys_of(records) if records else {}
    if len(rest) == 1 and rest[0] in keys:
        return Known(path, Standing.OURS, keys[rest[0]])
    close = closest(rest[0], list(keys))
    hint = f"did you mean `{dotted((*path[: depth + 1], close))}`?" if close else ""
    return Known(path, Standing.UNKNOWN, hint=hint)


def _know_root(path: KeyPath) -> Known:
    name, root = dotted(path), path[0]
    if root in foreign.CARRIED:
        return Known(path, Standing.CARRIED)
    if root in foreign.WITHOUT_EFFECT:
        return Known(path, Standing.WITHOUT_EFFECT)
    if root == "$include":
        return Known(path, Standing.CARRIED)
    if root in keys_of(GatewayConfig):
        return Known(path, Standing.UNKNOWN, hint=f"did you mean `gateway.{name}`?")
    meant = closest(root, [*foreign.OWNED, *sorted(foreign.CARRIED)])
    hint = f"did you mean `{dotted((meant, *path[1:]))}`?" if meant else ""
    return Known(path, Standing.UNKNOWN, hint=hint)


def _not_in_model(path: KeyPath, unknown: KeyPath, record: Any) -> Known:
    if path[-1] == "$include":
        return Known(path, Standing.OURS)
    for length in range(1, len(path) + 1):
        name = dotted(path[:length])
        if name in foreign.REFUSED:
            return Known(path, Standing.UNKNOWN, hint=foreign.REFUSED[name])
        if name in foreign.WITHOUT_EFFECT:
            return Known(path, Standing.WITHOUT_EFFECT, hint=foreign.WITHOUT_EFFECT[name])
    inside = f"{dotted(path)}."
    if any(name.startswith(inside) for name in (*foreign.ALIASES, *foreign.WITHOUT_EFFECT)):
        return Known(path, Standing.WITHOUT_EFFECT)
    if unknown[-1].startswith(foreign.DANGEROUS_PREFIX):
        return Known(path, Standing.UNKNOWN, hint=foreign.INSTEAD_OF_DANGEROUS.get(unknown[-1], ""))
    from stores.config.validate import meant_by  # late: only a mistake needs it

    meant = meant_by(unknown, record) if record is not None else None
    return Known(path, Standing.UNKNOWN, hint=f"did you mean `{meant}`?" if meant else "")


def value_of(document: Mapping[str, Any], path: KeyPath) -> Any:
    """Return what a document says at a key, in whatever spelling, `MISSING` if nothing."""
    found = look_up(document, path)
    if found is not MISSING:
        return found
    for other in _spellings(dotted(path)):
        found = look_up(document, tuple(other.split(".")))
        if found is not MISSING:
            return found
    return MISSING


def written_path(document: Mapping[str, Any], path: KeyPath) -> KeyPath:
    """Return the spelling that a document uses for a key, the key itself if it uses none."""
    if look_up(document, path) is MISSING:
        for other in _spellings(dotted(path)):
            spelt = tuple(other.split("."))
            if look_up(document, spelt) is not MISSING:
                return spelt
    return path


def _spellings(name: str) -> Iterator[str]:
    for old, new in foreign.ALIASES.items():
        if name in (old, new):
            yield new if name == old else old
