"""Hide secrets in a configuration before it is shown to anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stores.config.kinds import REDACTED
from stores.config.spans import Node, scan

__all__ = ["REDACTED", "redact", "redact_text"]

#: A key with such a name holds a secret, in whosever section it is.
_NAMES = r"(?:token|password|passwd|passphrase|secret|api_?-?key|private_?-?key|credential|authorization)s?"
_SECRET_KEY = re.compile(rf".*{_NAMES}", re.IGNORECASE)
#: Everything below is a secret: nothing else is put into the environment by configuration.
_SECRET_ROOT = ("env", "vars")
_REFERENCE = re.compile(r"(?:\$\{[A-Z_][A-Z0-9_]*\})+")
_USER_INFO = re.compile(r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)")
_ASSIGNED = re.compile(
    rf"""((?:["']?)[\w-]*?{_NAMES}["']?\s*[:=]\s*)("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""",
    re.IGNORECASE,
)
#: Shorter values are hidden where they stand only: they may be words of the file.
_MIN_LENGTH_ANYWHERE = 8


def redact(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``document`` with `REDACTED` in place of every secret.

    A pure reference, ``${NAME}``, is no secret and stays; a file name is none either.
    """
    return {key: _redact(value, (key,), hidden=_hides(key)) for key, value in document.items()}


def _redact(value: Any, path: tuple[str, ...], *, hidden: bool) -> Any:
    hidden = hidden or path[:2] == _SECRET_ROOT
    if isinstance(value, dict):
        return {
            key: _redact(item, (*path, key), hidden=hidden or _hides(key))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_redact(item, path, hidden=hidden) for item in value]
    if not isinstance(value, str) or not value:
        # a number or a boolean below a secret key is a limit or a switch
        return value
    if hidden:
        return value if _REFERENCE.fullmatch(value) else REDACTED
    return _USER_INFO.sub(REDACTED, value)


def _hides(key: str) -> bool:
    return _SECRET_KEY.fullmatch(key) is not None


def redact_text(raw: str, document: Mapping[str, Any]) -> str:
    """Return the text of a configuration with `REDACTED` in place of every secret.

    Comments and layout stay. A text that cannot be read is hidden whole.

    Args:
        document: What is in force; its secrets are hidden wherever they appear, comments too.
    """
    try:
        text = _redact_spans(raw, scan(raw))
    except (ValueError, LookupError, RecursionError):
        text = _redact_toml(raw)
    for secret in sorted(set(_secrets(document, redact(document))), key=len, reverse=True):
        if len(secret) >= _MIN_LENGTH_ANYWHERE:
            for form in (secret, json.dumps(secret)[1:-1]):
                text = text.replace(form, REDACTED)
    return _USER_INFO.sub(REDACTED, _ASSIGNED.sub(_hide_assigned, text))


def _hide_assigned(found: re.Match[str]) -> str:
    before, value = found.groups()
    inside = value[1:-1]
    keep = not inside or inside == REDACTED or _REFERENCE.fullmatch(inside)
    return found.group() if keep else f"{before}{value[0]}{REDACTED}{value[0]}"


def _secrets(value: Any, hidden: Any) -> Iterator[str]:
    """Yield every string that redaction changes."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, hidden[key])
    elif isinstance(value, list):
        for item, other in zip(value, hidden, strict=True):
            yield from _secrets(item, other)
    elif isinstance(value, str) and hidden == REDACTED and value != REDACTED:
        yield value


def _redact_spans(raw: str, root: Node) -> str:
    from stores.config.json5 import parse_json5

    text = raw
    for start, end in sorted(_hidden_spans(root, parse_json5(raw), ()), reverse=True):
        text = f'{text[:start]}"{REDACTED}"{text[end:]}'
    return text


def _hidden_spans(
    node: Node, value: Any, path: tuple[str, ...], *, hidden: bool = False
) -> Iterator[tuple[int, int]]:
    hidden = hidden or path[:2] == _SECRET_ROOT
    if isinstance(value, dict):
        for key, member in node.members.items():
            below = hidden or _hides(key)
            yield from _hidden_spans(member.value, value[key], (*path, key), hidden=below)
    elif isinstance(value, list):
        for inner, item in zip(node.items, value, strict=True):
            yield from _hidden_spans(inner, item, path, hidden=hidden)
    elif hidden and isinstance(value, str) and value and not _REFERENCE.fullmatch(value):
        yield node.start, node.end


def _redact_toml(raw: str) -> str:
    # late: a TOML file is rare, and showing one rarer
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(raw)
        _overwrite(document, redact(document.unwrap()))
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, RecursionError):
        return REDACTED


def _overwrite(holder: Any, wanted: Any) -> None:
    places = wanted.items() if isinstance(wanted, dict) else enumerate(wanted)
    for place, value in places:
        if isinstance(value, dict | list):
            _overwrite(holder[place], value)
        elif holder[place] != value:
            holder[place] = value
