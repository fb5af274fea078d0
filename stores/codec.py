"""Strict camelCase JSON <-> records: nothing is coerced, and unknown keys survive a rewrite.

Only this module knows both spellings. An optional key that is absent stays absent, and ``null``
counts as absent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import attrs
import cattrs
from cattrs.errors import BaseValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from stores.nodes import NodeRecord, NodeRequest
from stores.records import DeviceNote, DeviceToken, Invitation, PairedDevice, PendingRequest

T = TypeVar("T")

#: Longer texts are not worth looking for a twin.
MAX_SHARED_CHARS = 24


def camel(name: str) -> str:
    """Return the wire spelling of an attribute name: ``device_id`` becomes ``deviceId``."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _exactly(kind: type[Any]) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:  # not isinstance: True is an int
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return hook


def _tuple_of_str(value: Any, _: Any) -> tuple[str, ...]:
    if type(value) is not list:
        raise TypeError(f"expected list, got {type(value).__name__}")
    for item in value:
        if type(item) is not str:
            raise TypeError(f"expected str, got {type(item).__name__}")
    return _shared(tuple(value))


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the one tuple of these names: thousands of devices have the same few scopes."""
    return names


def _text(value: Any, _: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"expected str, got {type(value).__name__}")
    # Platforms, client names and roles are few, and shared; ids and keys are each their own.
    return sys.intern(value) if len(value) <= MAX_SHARED_CHARS else value


_converter = cattrs.Converter(detailed_validation=True)
_converter.register_structure_hook(str, _text)
for _kind in (int, bool):
    _converter.register_structure_hook(_kind, _exactly(_kind))
_converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _tuple_of_str)


#: What is on disk. The code for one is made when the first is met: few commands meet all.
_RECORDS = frozenset(
    {DeviceToken, PendingRequest, PairedDevice, DeviceNote, Invitation, NodeRequest, NodeRecord}
)


def _overrides(kind: type[Any]) -> dict[str, Any]:
    fields = [item for item in attrs.fields(kind) if item.name != "extra"]
    renamed: dict[str, Any] = {item.name: override(rename=camel(item.name)) for item in fields}
    return renamed | {"extra": override(omit=True)}


def _loader_of(kind: type[Any]) -> Callable[[Any, Any], Any]:
    """Return what makes a record of its JSON: renamed keys, absent optionals, carried extras."""
    known = frozenset(camel(item.name) for item in attrs.fields(kind) if item.name != "extra")
    structure = make_dict_structure_fn(kind, _converter, **_overrides(kind))

    def load_record(value: Any, cl: Any) -> Any:
        if type(value) is not dict:
            raise TypeError(f"expected object, got {type(value).__name__}")
        rest = {key: item for key, item in value.items() if key not in known}
        present = {key: item for key, item in value.items() if item is not None}
        record = structure(present, cl)
        return attrs.evolve(record, extra=rest) if rest else record

    return load_record


def _dumper_of(kind: type[Any]) -> Callable[[Any], dict[str, Any]]:
    """Return what makes JSON of a record."""
    fields = attrs.fields(kind)
    optional = frozenset(camel(item.name) for item in fields if item.default is None)
    unstructure = make_dict_unstructure_fn(kind, _converter, **_overrides(kind))

    def dump_record(record: Any) -> dict[str, Any]:
        plain = unstructure(record)
        kept = {k: v for k, v in plain.items() if v is not None or k not in optional}
        return kept | dict(record.extra)

    return dump_record


def _load_tokens(value: Any, _: Any) -> Mapping[str, DeviceToken]:
    if type(value) is not dict:
        raise TypeError(f"expected object, got {type(value).__name__}")
    tokens: dict[str, DeviceToken] = {}
    for role, item in value.items():
        try:
            tokens[role] = _converter.structure(item, DeviceToken)
        except Exception as error:
            error.add_note(IterableValidationNote("token", role, DeviceToken))
            raise
    return tokens


_converter.register_structure_hook_factory(_RECORDS.__contains__, _loader_of)
_converter.register_unstructure_hook_factory(_RECORDS.__contains__, _dumper_of)
_converter.register_structure_hook_func(
    lambda kind: kind == Mapping[str, DeviceToken], _load_tokens
)
_converter.register_unstructure_hook_func(
    lambda kind: kind == Mapping[str, DeviceToken],
    lambda tokens: {role: _converter.unstructure(token) for role, token in tokens.items()},
)


def _faults(error: BaseException, at: str) -> Iterator[str]:
    """Yield ``problem @ $.path`` for each fault; attributes in the wire's spelling, roles as they are."""
    for note in reversed(getattr(error, "__notes__", ())):  # the innermost was added first
        if isinstance(note, IterableValidationNote):
            at = f"{at}.{note.index}"
        else:
            at = f"{at}.{camel(note.name)}"
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _faults(inner, at)
    else:
        missing = isinstance(error, KeyError)
        yield f"{'required field missing' if missing else error} @ {at}"


def load(raw: Any, kind: type[T], *, at: str = "$") -> T:
    """Return ``raw``, parsed JSON, as a record of ``kind``.

    Raises:
        ValueError: a key is missing or of the wrong type; the text holds one
            ``problem @ $.path`` per fault.
    """
    try:
        return _converter.structure(raw, kind)
    except (BaseValidationError, TypeError) as error:
        raise ValueError("; ".join(dict.fromkeys(_faults(error, at)))) from error


def dump(record: Any) -> dict[str, Any]:
    """Return a record as a JSON-ready dictionary in the order of keys on disk."""
    plain: dict[str, Any] = _converter.unstructure(record)
    return plain
