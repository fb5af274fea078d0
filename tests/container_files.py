"""Readers of the container files: of a Dockerfile as much as ours uses, and not a word more."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent

_KNOWN = frozenset(
    [
        *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"),
        *("RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    ]
)


@frozen
class Instruction:
    """One instruction of a Dockerfile, its lines joined."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Return the words of the exec form; any other form fails the test."""
        found: list[str] = json.loads(self.rest)
        assert all(isinstance(word, str) for word in found)
        return found


@define
class Stage:
    """What follows one FROM."""

    base: str
    name: str | None
    instructions: list[Instruction] = field(factory=list)

    def all(self, name: str) -> list[Instruction]:
        """Return the instructions of one kind, in order."""
        return [one for one in self.instructions if one.name == name]

    def last(self, name: str) -> Instruction:
        """Return the one that counts."""
        return self.all(name)[-1]

    @property
    def env(self) -> dict[str, str]:
        """The variables of the image."""
        return dict(one.rest.split("=", 1) for one in self.all("ENV"))

    @property
    def health_check(self) -> list[str]:
        """The words of the health check."""
        found = re.fullmatch(r"((?:--[a-z-]+=\S+ )*)CMD (\[.*\])", self.last("HEALTHCHECK").rest)
        assert found is not None
        return Instruction("CMD", found[2]).words


def read_dockerfile(text: str | None = None) -> list[Stage]:
    """Return the stages; a word that is not understood fails the test."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for one in _instructions((ROOT / "Dockerfile").read_text() if text is None else text):
        assert one.name in _KNOWN, one
        if one.name == "ARG" and not stages:
            name, _, value = one.rest.partition("=")
            arguments[name] = value
        elif one.name == "FROM":
            found = re.fullmatch(r"(\S+)(?: AS (\w+))?", one.rest)
            assert found is not None, one
            base = re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], found[1])
            stages.append(Stage(base, found[2]))
        else:
            stages[-1].instructions.append(one)
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    for line in filter(str.strip, whole.splitlines()):
        name, _, rest = line.partition(" ")
        yield Instruction(name, rest.strip())


def build_context() -> list[str]:
    """Return what the engine gets of this checkout, as .dockerignore says: the last match counts."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    found = []
    for file in ROOT.rglob("*"):
        name = file.relative_to(ROOT).as_posix()
        if file.is_file() and not name.startswith(".git/") and not _ignored(name, patterns):
            found.append(name)
    return sorted(found)


def _ignored(name: str, patterns: list[str]) -> bool:
    """Tell whether a file or a folder above it is left out. Source: patternmatcher of the engine."""
    above = [name, *(str(folder) for folder in Path(name).parents)]
    ignored = False
    for pattern in patterns:
        shape = pattern.removeprefix("!")
        anywhere = shape.startswith("**/")
        shape = shape.removeprefix("**/")
        for one in above:
            subject = Path(one).name if anywhere else one
            if one != "." and "/" not in subject and fnmatch.fnmatch(subject, shape):
                ignored = not pattern.startswith("!")
    return ignored


def read_compose(env: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Return the compose file with its variables filled in; without ``env`` by their defaults."""
    text = re.sub(
        r"\$\{(\w+):-([^}]*)\}",
        lambda found: env.get(found[1]) or found[2],
        (ROOT / "compose.yaml").read_text(),
    )
    read: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return read
