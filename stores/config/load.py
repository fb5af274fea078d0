"""Load the configuration in force: one file and what it includes, checked before it is used."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from stores.config.expand import INCLUDE, ExpandError, Source, with_includes, with_variables
from stores.config.json5 import Json5Error, parse_json5
from stores.config.keypath import KeyPath, dotted
from stores.config.locate import line_of
from stores.config.model import Config
from stores.config.validate import validate
from stores.errors import ConfigError
from stores.paths import FOUND_IN_STATE_DIR, Paths, config_in_force
from stores.plain_file import read_regular, who_may

_TOML_LINE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")


@frozen
class Fault:
    """One thing wrong with a configuration: the key, and the file and line where that shows."""

    key: str
    path: Path
    line: int | None
    text: str
    remedy: str

    @property
    def problem(self) -> str:
        """The fault as one clause that begins with file and line."""
        place = f"{self.path}:{self.line}" if self.line else f"{self.path}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class InvalidConfigError(ConfigError):
    """The text of a configuration breaks a rule; ``faults`` has every one that was found."""

    def __init__(self, *faults: Fault) -> None:
        first, *others = faults
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(first.problem + more, remedy=first.remedy)
        self.faults = faults


@frozen
class LoadedConfig:
    """A configuration and where it came from.

    ``document`` is what the files say with includes merged and ``${VAR}`` still in place: what
    commands may show (redacted) and must write back. ``config`` has the variables filled in.
    ``digest`` is the SHA-256 of the file itself; ``sources`` all files read, itself first.
    ``read_from`` is where the text was kept, if that is not ``path``.
    """

    config: Config
    path: Path
    exists: bool
    raw: str = field(repr=False)
    document: dict[str, Any] = field(repr=False)
    warnings: tuple[str, ...] = ()
    ignored_path: Path | None = None
    digest: str = ""
    sources: tuple[Path, ...] = ()
    read_from: Path | None = None

    def where(self, key: str) -> str:
        """Say where a key stands, for messages that name the source of a value."""
        return f"{key} in {self.read_from or self.path}"

    def resolve_file(self, name: str, env: Mapping[str, str]) -> Path:
        """Return the path that a key names, relative to the folder of the configuration."""
        if name.startswith("~/"):
            return Path(env.get("HOME") or Path.home()) / name[2:]
        return self.path.parent / name


def load_config(paths: Paths, env: Mapping[str, str]) -> LoadedConfig:
    """Load the configuration file in force; without a file, the defaults.

    Raises:
        ConfigError: it cannot be read, is not JSON5 or TOML, or breaks a rule of the model. The
            problem begins with file and line and names the key.
    """
    path, ignored = in_force(paths)
    raw = read_text(path)
    loaded = interpret(path, raw, env, ignored_path=ignored)
    if raw is None and paths.config_source != FOUND_IN_STATE_DIR:
        note = f"{path} ({paths.config_source}) does not exist, so the defaults apply"
        return evolve(loaded, warnings=(note, *loaded.warnings))
    return loaded


def in_force(paths: Paths) -> tuple[Path, Path | None]:
    """Return the file in force now and the one it makes ignored; a new one may have appeared."""
    if paths.config_source != FOUND_IN_STATE_DIR:
        return paths.config_path, None
    return config_in_force(paths.state_dir)


def read_text(path: Path) -> str | None:
    """Return a configuration file's text with its line ends as they are, None if there is none.

    Raises:
        ConfigError: it is there but cannot be read, is no regular file or too large, or is not
            UTF-8.
    """
    try:
        return read_regular(path).decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: not UTF-8", remedy="save the file with the encoding UTF-8"
        ) from error
    except PermissionError as error:
        clause, remedy = who_may(path)
        problem = f"cannot read {path}: {error.strerror} ({clause})"
        raise ConfigError(problem, remedy=remedy) from error
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}",
            remedy=f"look at what it is and who may read it with `ls -ld {path}`",
        ) from error


def interpret(
    path: Path, raw: str | None, env: Mapping[str, str], *, ignored_path: Path | None = None
) -> LoadedConfig:
    """Check a text as if ``path`` held it; nothing but included files is read.

    Raises:
        ConfigError: see `load_config`.
    """
    document, sources = put_together(path, raw)
    try:
        config, findings = validate(with_variables(document, env))
    except ExpandError as error:
        raise InvalidConfigError(_fault(sources, error.key, error.problem, error.remedy)) from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep", remedy="flatten it") from None
    if config is None:
        raise InvalidConfigError(
            *(_fault(sources, one.path, one.text, one.remedy) for one in findings.problems)
        )
    return LoadedConfig(
        config=config,
        path=path,
        exists=raw is not None,
        raw=raw or "",
        document=document,
        warnings=tuple(findings.warnings),
        ignored_path=ignored_path,
        digest=digest_of(raw or ""),
        sources=tuple(source.path for source in sources),
    )


def digest_of(raw: str) -> str:
    """Return the SHA-256 of a text, in hex: what a writer compares before it replaces one."""
    return hashlib.sha256(raw.encode()).hexdigest()


def put_together(path: Path, raw: str | None) -> tuple[dict[str, Any], list[Source]]:
    """Return what a text and the files it includes say, and all of these, the text first.

    Raises:
        ConfigError: one of them cannot be read.
    """
    sources = [Source(path, raw or "")]

    def read_include(target: Path, key: KeyPath) -> dict[str, Any]:
        included = read_text(target)
        if included is None:
            raise ExpandError(
                f"the included file {target} does not exist",
                remedy="correct the name, which is relative to the file that includes it",
                key=(*key, INCLUDE),
            )
        sources.append(Source(target, included, key))
        return parse_document(target, included)

    parsed = {} if raw is None else parse_document(path, raw)
    try:
        return with_includes(parsed, path, read_include), sources
    except ExpandError as error:
        raise InvalidConfigError(_fault(sources, error.key, error.problem, error.remedy)) from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep", remedy="flatten it") from None


def is_toml(path: Path) -> bool:
    """Tell whether a configuration file is TOML by its name; every other one is JSON5."""
    return path.suffix == ".toml"


def parse_document(path: Path, raw: str) -> dict[str, Any]:
    """Parse one file, without what it includes.

    Raises:
        ConfigError: it is not JSON5 or TOML, or not an object.
    """
    line: int | None
    try:
        parsed = _parse_toml(raw) if is_toml(path) else parse_json5(raw)
    except Json5Error as error:
        problem, line = str(error), error.line
    else:
        if isinstance(parsed, dict):
            return parsed
        problem, line = "expected an object at the root", 1
    # a file cut short by an editor must not pass for one that sets nothing
    remedy = "correct the file; `openclaw config rollback` lists the versions before it"
    raise InvalidConfigError(Fault("", path, line, problem, remedy))


def _parse_toml(raw: str) -> Any:
    import tomllib  # late: most files are JSON5

    try:
        return tomllib.loads(raw.removeprefix("\ufeff"))
    except RecursionError:
        raise Json5Error("nested too deep", None) from None
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found and found[1] else None
        said = _TOML_LINE.sub("", str(error))
        raise Json5Error(f"not valid TOML, {said[0].lower()}{said[1:]}", line) from error


def _fault(sources: list[Source], key: KeyPath, text: str, remedy: str) -> Fault:
    """Find the file and line where a key, or what is around it, stands."""
    for length in range(len(key), 0, -1):
        for source in (sources[0], *reversed(sources[1:])):  # what wins is what is wrong
            inside = key[:length]
            if inside[: len(source.prefix)] != source.prefix:
                continue
            rest = inside[len(source.prefix) :]
            line = line_of(source.raw, rest, toml=is_toml(source.path))
            if line is not None:
                return Fault(dotted(key), source.path, line, text, remedy)
    return Fault(dotted(key), sources[0].path, None, text, remedy)
