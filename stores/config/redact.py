"""Hide secrets in a configuration before it is shown to anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stores.config.json5 import parse_json5
from stores.config.keypath import KeyPath, look_up
from stores.config.kinds import REDACTED
from stores.config.spans import Node, scan
from stores.config.toml_spans import scan_toml

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


def holds_secret(path: KeyPath) -> bool:
    """Tell whether what stands at a path is never shown."""
    return path[:2] == _SECRET_ROOT or any(map(_hides, path))


def _hides(key: str) -> bool:
    return _SECRET_KEY.fullmatch(key) is not None


def redact_text(
    raw: str, document: Mapping[str, Any], *, mark: Callable[[str], str] = lambda _: REDACTED
) -> str:
    """Return the text of a configuration with `REDACTED` in place of every secret.

    Comments and layout stay. A text that cannot be read is hidden whole.

    Args:
        document: What is in force; its secrets are hidden wherever they appear, comments too.
        mark: What to put in place of a secret instead, for who must tell two of them apart.
    """
    try:
        spans = list(_secret_spans(raw))
    except (ValueError, LookupError, RecursionError):
        return mark(raw)
    text = raw
    for start, end, value in sorted(spans, reverse=True):
        text = f'{text[:start]}"{mark(value)}"{text[end:]}'
    for secret in sorted(set(_secrets(document, redact(document))), key=len, reverse=True):
        if len(secret) >= _MIN_LENGTH_ANYWHERE:
            for form in (secret, json.dumps(secret)[1:-1]):
                text = text.replace(form, mark(secret))
    marks = {REDACTED, *(mark(value) for _, _, value in spans)}

    def hide(found: re.Match[str]) -> str:
        before, value = found.groups()
        inside = value[1:-1]
        keep = not inside or inside in marks or _REFERENCE.fullmatch(inside)
        return found.group() if keep else f"{before}{value[0]}{mark(inside)}{value[0]}"

    return _USER_INFO.sub(lambda found: mark(found.group()), _ASSIGNED.sub(hide, text))


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


def _secret_spans(raw: str) -> Iterator[tuple[int, int, str]]:
    """Yield where a secret stands in a text, and the secret."""
    try:
        root = scan(raw)
        document = parse_json5(raw)
    except (ValueError, LookupError, RecursionError):
        import tomllib  # late: a TOML file is rare, and showing one rarer

        document = tomllib.loads(raw.removeprefix("\ufeff"))
        for section in scan_toml(raw):
            inside = Node(0, 0, "{", section.parts)
            yield from _hidden(inside, look_up(document, section.path), section.path)
    else:
        yield from _hidden(root, document, ())


def _hidden(node: Node, value: Any, path: KeyPath) -> Iterator[tuple[int, int, str]]:
    for index, part in enumerate(node.parts):
        keys = part.keys if node.opener == "{" else (str(index),)
        yield from _hidden(part.value, look_up(value, keys), (*path, *keys))
    if holds_secret(path) and isinstance(value, str) and value and not _REFERENCE.fullmatch(value):
        yield node.start, node.end, value
