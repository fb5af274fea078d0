"""The habits of the house that no linter knows: sizes, names, broad catches, silent ignores, pins."""

from __future__ import annotations

import ast
import importlib.metadata
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.imports import OURS, ROOT, all_imports, our_files, tree_of

FOLDERS = ("gateway", "stores", "cli", "tests", "benchmarks")


def test_no_file_is_longer_than_a_head_can_hold():
    long = {
        str(file.relative_to(ROOT)): lines
        for folder in FOLDERS
        for suffix in ("py", "js", "css", "html")
        for file in (ROOT / folder).rglob(f"*.{suffix}")
        # What is vendored stays as it was published.
        if "vendor" not in file.parts and (lines := len(file.read_text().splitlines())) > 400
    }

    assert long == {}


def test_no_module_is_named_for_having_no_noun():
    nameless = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

    assert [str(file) for file in our_files() if file.stem in nameless] == []


def test_only_the_connection_boundary_catches_everything():
    broad = [
        f"{file}:{handler.lineno}"
        for file in our_files()
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
        if isinstance(handler.type, ast.Name) and handler.type.id in {"Exception", "BaseException"}
    ]

    assert len(broad) <= 1
    assert all(place.startswith("gateway/listener.py") for place in broad)


def test_every_ignored_warning_says_why_on_its_line():
    ignore = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\]|pragma: no cover)\W*$")
    silent = [
        f"{file.relative_to(ROOT)}:{line}"
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
        for line, comment in comments_of(file)
        if ignore.search(comment)
    ]

    assert silent == []


def test_every_imported_distribution_is_declared():
    declared = {normal(name) for name in declared_names("dependencies")}
    by_module = importlib.metadata.packages_distributions()
    imported = {
        found.top
        for found in all_imports()
        if found.top not in OURS and found.top not in sys.stdlib_module_names
    }

    undeclared = {
        module
        for module in imported
        if not declared & {normal(name) for name in by_module.get(module, [])}
    }

    assert undeclared == set()


def test_every_declared_distribution_has_one_exact_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    pinned = [normal(re.split("==", pin)[0]) for pin in pins]

    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin)] == []
    assert sorted(set(pinned)) == sorted(pinned)
    assert {normal(name) for name in declared_names("dependencies", "test")} <= set(pinned)


def comments_of(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line number and text of each comment in a Python file."""
    for token in tokenize.tokenize(io.BytesIO(file.read_bytes()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def declared_names(*groups: str) -> list[str]:
    """Return the distributions that pyproject.toml names in the groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
    return [re.split(r"[<>=!~\[; ]", line)[0] for group in groups for line in lists[group]]


def normal(name: str) -> str:
    """Return a distribution's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
