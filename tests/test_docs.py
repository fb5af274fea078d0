"""The documents against the program: links that resolve, commands that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    file.relative_to(ROOT) for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
)

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^\s*```+\s*([\w-]*)")
# Blocks in these languages, and those in none, hold what somebody types.
TYPED = frozenset({"", "sh", "bash", "shell", "console", "ini", "systemd"})
OUR_COMMAND = re.compile(r"(?:^|[\s/=`\"'(])openclaw(?=\s+[\w<\[-])\s+(?P<rest>.*)")
# What stands for a value the reader puts in: ID, <id>, REQUEST_ID, $ID, …, K7QM-3FXR.
PLACEHOLDER = re.compile(r"[A-Z0-9][A-Z0-9_-]*|<.*>|\$.*|…|\.\.\.")
SHELL_ENDS = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1", "#"})


@attrs.frozen
class Typed:
    """One command line that a document shows: where, and the words after its program."""

    where: str
    line: str

    def __str__(self) -> str:
        return f"{self.where}: {self.line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_relative_link_resolves(document: Path):
    prose = "\n".join(line for _, line, language in lines_of(document) if language is None)
    targets = [one or other for one, other in LINK.findall(prose)]
    local = [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target)]

    broken = [target for target in local if not resolves(document, target)]

    assert broken == []


def test_every_command_line_parses():
    root = command_tree()

    wrong = [f"{typed} ({why})" for typed in typed_commands() if (why := misfit(root, typed.line))]

    assert wrong == []


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        pytest.param("devices list --json", True, id="known"),
        pytest.param("devices approve <id> --url=ws://h", True, id="placeholder-and-value"),
        pytest.param("devices approve ID --url ws://h # why", True, id="comment"),
        pytest.param("devices list|approve|reject [--json] [ID]", True, id="alternatives"),
        pytest.param("devices list --json | head -n 1", True, id="pipe"),
        pytest.param("devices bless ID", False, id="unknown-command"),
        pytest.param("devices list|bless", False, id="one-unknown-alternative"),
        pytest.param("devices list --jsom", False, id="unknown-option"),
        pytest.param("devices list extra", False, id="stray-argument"),
    ],
)
def test_a_command_line_that_does_not_exist_is_seen(line: str, fits: bool):
    json = click.Option(["--json"], is_flag=True)
    url = click.Option(["--url"])
    request = click.Argument(["request_id"], required=False)
    commands = {
        "list": click.Command("list", params=[json]),
        "approve": click.Command("approve", params=[json, url, request]),
        "reject": click.Command("reject", params=[json, request]),
    }
    root = click.Group("openclaw", {"devices": click.Group("devices", commands)})

    assert (misfit(root, line) is None) is fits


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        target
        for document in DOCUMENTS
        for _, code in code_of(document)
        for target in re.findall(r"(?:^|\s)make ([a-z]+)", code)
    }

    assert shown - targets == set()


def test_the_readme_shows_how_to_run_and_how_to_test():
    shown = [code.strip().removeprefix("$ ") for _, code in code_of(Path("README.md"))]

    assert any(code.startswith("make run") for code in shown)
    assert any(code.startswith("make test") for code in shown)


def test_the_changelog_has_a_section_to_read():
    text = (ROOT / "docs" / "CHANGELOG.md").read_text()

    assert re.search(r"^## \[(Unreleased|\d+\.\d+\.\d+)\]", text, re.MULTILINE)


def lines_of(document: Path) -> Iterator[tuple[int, str, str | None]]:
    """Yield a document's lines: number, text, and the language of the block it is in, if any."""
    language: str | None = None
    for number, line in enumerate((ROOT / document).read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if fence:
            language = fence[1] if language is None else None
        else:
            yield number, line, language


def code_of(document: Path) -> Iterator[tuple[int, str]]:
    """Yield what a reader may type: lines of shell blocks, and `code` in the prose."""
    for number, line, language in lines_of(document):
        if language is None:
            for code in re.findall(r"`([^`]+)`", line):
                yield number, code
        elif language in TYPED:
            yield number, line


def typed_commands() -> Iterator[Typed]:
    """Yield every command line of this program in every document but the changelog."""
    for document in DOCUMENTS:
        if document.name == "CHANGELOG.md":
            continue  # it also names what no longer exists
        for number, code in code_of(document):
            found = OUR_COMMAND.search(code)
            if found:
                # `docker exec openclaw openclaw …`: a container or an account may be called that too
                line = re.sub(r"^(openclaw\s+)+", "", found["rest"])
                yield Typed(f"{document}:{number}", line)


def command_tree() -> click.Group:
    """Return the program's root command, wherever `cli.main` keeps it."""
    import cli.main

    groups = [value for value in vars(cli.main).values() if isinstance(value, click.Group)]
    named = [group for group in groups if group.name == "openclaw"]
    return (named or groups)[0]


def misfit(root: click.Group, line: str) -> str | None:
    """Return why a command line would be a usage error, or None; values are not looked at."""
    words = shlex.split(re.sub(r"[\[\]]", "", line).rstrip("\\ "), comments=True)
    end = next((at for at, word in enumerate(words) if word in SHELL_ENDS), len(words))
    return _misfit(
        root, click.Context(root, info_name="openclaw", **root.context_settings), words[:end]
    )


def _misfit(command: click.Command, context: click.Context, words: list[str]) -> str | None:
    """Walk the words down the tree; of `a|b`, both must exist and one must take the rest."""
    positional = 0
    while words:
        word, *words = words
        if word.startswith("-") and len(word) > 1:
            option = option_named(context, word.partition("=")[0].partition("|")[0])
            if option is None:
                return f"no option {word}"
            if not (option.is_flag or option.count or "=" in word):
                words = words[option.nargs :]
        elif not isinstance(command, click.Group):
            positional += 1
        elif not PLACEHOLDER.fullmatch(word):
            return _misfit_below(command, context, word.split("|"), words)
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    endless = any(each.nargs == -1 for each in arguments)
    room = sum(each.nargs for each in arguments)
    return None if endless or positional <= room else "too many arguments"


def _misfit_below(
    group: click.Group, context: click.Context, names: list[str], words: list[str]
) -> str | None:
    """Return why none of the named commands takes the words, or which of them is missing."""
    found = {name: group.get_command(context, name) for name in names}
    whys = []
    for name, inner in found.items():
        if inner is None:
            return f"no command {name}"
        below = click.Context(inner, info_name=name, parent=context)
        whys.append(_misfit(inner, below, words))
    return None if None in whys else whys[0]


def option_named(context: click.Context, name: str) -> click.Option | None:
    """Return the option that a command, or one above it, calls by this name."""
    at: click.Context | None = context
    while at is not None:
        for each in at.command.get_params(at):
            if isinstance(each, click.Option) and name in {*each.opts, *each.secondary_opts}:
                return each
        at = at.parent
    return None


def resolves(document: Path, target: str) -> bool:
    """Return whether a link leads to a file of this repository, and to a heading in it."""
    name, _, anchor = target.partition("#")
    file = (ROOT / document.parent / name).resolve() if name else ROOT / document
    if not file.exists() or not file.is_relative_to(ROOT):
        return False
    if not anchor or file.suffix != ".md":
        return True
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return anchor in {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    """Return the anchor that a heading gets on the usual forges."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
