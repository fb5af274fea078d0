"""Where source code compares secrets with `==`, character by character."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

#: Nothing in these came from outside: what is on file is compared with what was.
OURS_AGAINST_OURS = {
    "old.secrets.secret != settings.secrets.secret",
    "old.token != new.token",
    "known.token == refused.token",
    "secret == 'token'",  # the name of a kind
    "word.strip().lower() == token",  # of HTTP
}
SECRETS = {"token", "password", "secret", "device_token", "bootstrap_token", "sent", "presented"}


def compared_bare(file: Path) -> Iterator[str]:
    """Yield each comparison of a secret that takes another time for another one."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Compare):
            continue
        equal = any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
        if equal and SECRETS & {_last_name(side) for side in (node.left, *node.comparators)}:
            yield ast.unparse(node)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
