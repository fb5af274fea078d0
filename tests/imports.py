"""What the three packages import, read off their syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
OURS = frozenset({"gateway", "stores", "cli"})

TYPE_CHECKING_TESTS = frozenset({"TYPE_CHECKING", "typing.TYPE_CHECKING"})


@attrs.frozen
class Import:
    """One imported module: where, and whether importing the file is enough to load it."""

    file: Path
    line: int
    name: str
    late: bool
    type_only: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


def all_imports() -> list[Import]:
    """Return every import of the three packages."""
    return [found for file in our_files() for found in imports_of(file, tree_of(file))]


def our_files() -> list[Path]:
    """Return the three packages' files, relative to the root."""
    return sorted(
        file.relative_to(ROOT)
        for package in sorted(OURS)
        for file in (ROOT / package).rglob("*.py")
    )


def tree_of(file: Path) -> ast.Module:
    """Return the syntax tree of a file named relative to the root."""
    return ast.parse((ROOT / file).read_text(), filename=str(file))


def imports_of(
    file: Path, node: ast.AST, *, late: bool = False, type_only: bool = False
) -> Iterator[Import]:
    """Yield what a tree imports; ``from a import b`` is the module ``a.b`` if there is one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, child.lineno, alias.name, late, type_only)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{file}:{child.lineno}: imports are absolute here"
            package = child.module or ""
            for alias in child.names:
                inner = f"{package}.{alias.name}"
                yield Import(
                    file, child.lineno, inner if is_module(inner) else package, late, type_only
                )
        elif isinstance(child, ast.If) and ast.unparse(child.test) in TYPE_CHECKING_TESTS:
            yield from imports_of(file, child, late=late, type_only=True)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports_of(file, child, late=late or inside, type_only=type_only)


def is_module(name: str) -> bool:
    """Return whether a dotted name is one of our modules or packages."""
    path = ROOT.joinpath(*name.split("."))
    return name.partition(".")[0] in OURS and (path.is_dir() or path.with_suffix(".py").is_file())
