"""`openclaw configure`: the lines that set a gateway up, beside what is set now; nothing is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from attrs import frozen

from cli.output import json_text, note, printable, say
from cli.place import Place, place
from cli.typed import as_typed, program_words


@frozen
class Topic:
    """A question somebody sets a gateway up with, the keys it is about, and the lines to use."""

    question: str
    keys: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]


#: A command that is longer, behind the program's name, stands out of its column.
_LONGEST = 56

TOPICS = (
    Topic(
        "Who can reach it",
        ("gateway.bind", "gateway.port"),
        (
            ("openclaw config set gateway.bind loopback", "this machine alone"),
            ("openclaw config set gateway.bind lan", "every network of this machine"),
            ("openclaw config set gateway.bind tailnet", "the Tailscale network alone"),
            ("openclaw config set gateway.port 18790", "another port"),
        ),
    ),
    Topic(
        "What they must know",
        ("gateway.auth.mode", "gateway.auth.token", "gateway.auth.password"),
        (
            ("openclaw doctor --generate-gateway-token", "a new token, made for you"),
            ("openclaw config set gateway.auth.mode password", "a password instead"),
            ("openclaw config set gateway.auth.password --from-file FILE", "which one"),
        ),
    ),
    Topic(
        "Encryption",
        ("gateway.tls.enabled", "gateway.tls.certPath"),
        (
            ("openclaw config set gateway.tls.enabled true", "https and wss, own certificate"),
            (
                """openclaw config set gateway.tls '{"enabled": true, "certPath": "C", "keyPath": "K"}'""",
                "one of yours",
            ),
        ),
    ),
    Topic(
        "A proxy in front",
        ("gateway.trustedProxies", "gateway.publicOrigin", "gateway.controlUi.allowedOrigins"),
        (
            ("""openclaw config set gateway.trustedProxies '["127.0.0.1"]'""", "its address"),
            (
                "openclaw config set gateway.publicOrigin https://gateway.example",
                "what browsers type",
            ),
            ("openclaw doctor proxy", "what it really sends"),
        ),
    ),
    Topic(
        "Use a gateway elsewhere",
        ("gateway.mode", "gateway.remote.url"),
        (
            ("openclaw config set gateway.remote.url wss://gateway.example", "its address"),
            ("openclaw config set gateway.remote.token --from-file FILE", "its token"),
            ("openclaw config set gateway.mode remote", "and use it"),
        ),
    ),
)


@click.command("configure")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--section", metavar="NAME", hidden=True)
def configure(*, as_json: bool, section: str | None) -> None:
    """Show what is set, and the commands that set it; changes nothing and asks nothing."""
    del section  # of published command lines: there is one screen
    here = place()
    now, problem = _now(here)
    if as_json:
        topics = [
            {
                "topic": topic.question,
                "now": {key: now.get(key) for key in topic.keys},
                "commands": [{"command": as_typed(one), "does": does} for one, does in topic.lines],
            }
            for topic in TOPICS
        ]
        say(
            json_text(
                {"ok": problem is None, "path": str(here.paths.config_path), "topics": topics}
            )
        )
    else:
        say(printable(f"Configuration: {here.paths.config_path}"))
        for line in _lines(now):
            say(printable(line))
    if problem is not None:
        note(printable(f"The file cannot be used as it is: {problem}"))
        note("See every problem with `openclaw config validate`.")


def _lines(now: dict[str, str]) -> Iterator[str]:
    for topic in TOPICS:
        yield ""
        yield topic.question
        for key in topic.keys:
            yield f"  now: {key} = {now.get(key, '?')}"
        lines = [(as_typed(line), does) for line, does in topic.lines]
        longest = len(program_words()) + _LONGEST
        width = max(len(line) for line, _ in lines if len(line) < longest)
        for line, does in lines:
            yield f"  {line:<{width}}  # {does}"
    yield ""
    words = program_words()
    yield f"Every key: {words} config schema. Then: {words} config validate, {words} doctor."


def _now(here: Place) -> tuple[dict[str, str], str | None]:
    """Return what is set, without secrets, and what is wrong with the file."""
    from cli.config_words import in_short  # late, as the rest: the help needs none of it
    from stores.config.keypath import parse_key
    from stores.config.known import know, value_of
    from stores.config.load import load_config, parse_document, read_text
    from stores.errors import ConfigError

    problem: str | None = None
    document: dict[str, Any] = {}
    try:
        document = load_config(here.paths, here.env).document
    except ConfigError as error:
        problem = error.problem
        try:
            text = read_text(here.paths.config_path)
            document = {} if text is None else parse_document(here.paths.config_path, text)
        except ConfigError:
            return {}, problem
    keys = [parse_key(key) for topic in TOPICS for key in topic.keys]
    return {".".join(key): in_short(know(key), value_of(document, key)) for key in keys}, problem
