"""Which commands of a node may be asked for: its platform, the configuration, its approval.

Source: protocol fact, the command tables of 2026.2.19 and 2026.9.6. Everything here is decided at
each use, so that a changed configuration and an approval count at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from enum import StrEnum

from attrs import field, frozen

from stores.scopes import ADMIN, PAIRING, WRITE

_SYSTEM = ("system.run", "system.which", "system.notify", "browser.proxy")

#: What the host program of newer nodes offers; of protocol 4, where each needs its own approval.
_NEWER = (
    *("browser.proxy.*", "desktop.stream", "fs.listDir", "mcp.tools.call.v1", "ollama.chat"),
    *("ollama.models", "screen.snapshot", "system.execApprovals.get", "system.execApprovals.set"),
    *("system.run.prepare", "terminal.upload"),
)

_APP = (
    *("canvas.*", "camera.list", "location.get", "device.info", "device.status"),
    *("contacts.search", "calendar.events", "reminders.list", "photos.latest", "motion.*"),
)

#: What takes pictures, records, writes into somebody's calendar or sends: never by platform alone.
DANGEROUS = frozenset(
    {"camera.snap", "camera.clip", "screen.record", "contacts.add"}
    | {"calendar.add", "reminders.add", "sms.send"}
)

_BY_PLATFORM = {
    "linux": _SYSTEM,
    "windows": _SYSTEM,
    "macos": (*_SYSTEM, *_APP),
    "ios": (*_APP, "system.notify"),
    "android": _APP,
    "unknown": ("canvas.*", "camera.list", "location.get", *_SYSTEM),
}

#: Hosts that run programs: there the newer commands exist.
_DESKTOPS = frozenset({"linux", "windows", "macos"})

_PREFIXES = (
    ("ios", "ios"),
    ("ipados", "ios"),
    ("iphone", "ios"),
    ("ipad", "ios"),
    ("android", "android"),
    ("mac", "macos"),
    ("darwin", "macos"),
    ("win", "windows"),
    ("linux", "linux"),
)

#: Commands that run programs or read files of the node: approving them takes an admin.
_ADMIN_TO_APPROVE = (
    *("system.run", "system.run.*", "system.which", "system.execApprovals.*"),
    *("browser.proxy", "browser.proxy.*", "fs.listDir", "terminal.upload"),
)

#: Commands that take an admin each time.
_ADMIN_TO_INVOKE = ("browser.proxy", "browser.proxy.*", "fs.listDir", "terminal.upload")

#: Who may change what a node runs without asking has methods of their own.
_NEVER = ("system.execApprovals.*",)

ALLOW_KEY = "gateway.nodes.commands.allow"
DENY_KEY = "gateway.nodes.commands.deny"


class Barred(StrEnum):
    """Why a command does not pass; the words are those of the wire (protocol fact)."""

    OWN_METHODS = "use exec.approvals.node.*"
    DENIED = "command denied by configuration"
    NOT_ALLOWED = "command not allowlisted"
    NONE_DECLARED = "node did not declare commands"
    NOT_DECLARED = "command not declared by node"
    NOT_APPROVED = "command not approved"


@frozen
class CommandRules:
    """The part of the configuration that is about commands."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@frozen
class Declared:
    """What a node said of itself when it connected, and what came of it.

    Args:
        commands: As declared, unchecked.
        approved: The commands an operator approved; None where nobody has to, or nobody did yet.
        needs_approval: Whether commands stay hidden until somebody approves them.
    """

    platform: str | None = None
    device_family: str | None = None
    protocol: int = 4
    commands: tuple[str, ...] = ()
    approved: frozenset[str] | None = field(default=None)
    needs_approval: bool = True


def platform_of(platform: str | None, device_family: str | None) -> str:
    """Return the row of the table that a node falls into."""
    for said in (platform, device_family):
        name = (said or "").strip().lower()
        for prefix, row in _PREFIXES:
            if name.startswith(prefix):
                return row
    return "unknown"


def _is_one_of(command: str, patterns: Iterable[str]) -> bool:
    return any(
        command.startswith(pattern[:-1]) if pattern.endswith("*") else command == pattern
        for pattern in patterns
    )


def allowed(command: str, node: Declared, rules: CommandRules) -> bool:
    """Tell whether platform and configuration let a command pass, approved or not."""
    if command in rules.deny:
        return False
    if command in rules.allow:
        return True
    if command in DANGEROUS:
        return False
    row = platform_of(node.platform, node.device_family)
    if _is_one_of(command, _BY_PLATFORM[row]):
        return True
    return node.protocol >= 4 and row in _DESKTOPS and _is_one_of(command, _NEWER)


def surface(node: Declared, rules: CommandRules) -> tuple[str, ...]:
    """Return what of the declared commands could pass once approved, sorted."""
    return tuple(sorted({one for one in node.commands if allowed(one, node, rules)}))


def usable(node: Declared, rules: CommandRules) -> tuple[str, ...]:
    """Return the commands that operators may invoke now, sorted."""
    passing = surface(node, rules)
    if not node.needs_approval:
        return passing
    approved = node.approved or frozenset()
    return tuple(one for one in passing if one in approved)


def barred(command: str, node: Declared, rules: CommandRules) -> Barred | None:
    """Return why a command does not pass, or None: it does."""
    if _is_one_of(command, _NEVER):
        return Barred.OWN_METHODS
    if not allowed(command, node, rules):
        return Barred.DENIED if command in rules.deny else Barred.NOT_ALLOWED
    if not node.commands:
        return Barred.NONE_DECLARED
    if command not in node.commands:
        return Barred.NOT_DECLARED
    if node.needs_approval and command not in (node.approved or frozenset()):
        return Barred.NOT_APPROVED
    return None


def scopes_to_approve(commands: Collection[str]) -> tuple[str, ...]:
    """Return what approving these commands takes."""
    if any(_is_one_of(command, _ADMIN_TO_APPROVE) for command in commands):
        return (PAIRING, ADMIN)
    return (PAIRING, WRITE) if commands else (PAIRING,)


def scope_to_invoke(command: str) -> str:
    """Return what invoking this command takes."""
    return ADMIN if _is_one_of(command, _ADMIN_TO_INVOKE) else WRITE


def way_to_allow(command: str, rules: CommandRules, why: Barred) -> str:
    """Return the words after ``openclaw`` that let a command pass, the other entries kept."""
    if why is Barred.DENIED:
        entries = [one for one in rules.deny if one != command]
        return f"config set {DENY_KEY} {_quoted(entries)}"
    return f"config set {ALLOW_KEY} {_quoted([*rules.allow, command])}"


def _quoted(entries: list[str]) -> str:
    # An apostrophe would end the shell's quotes; it is written as JSON's escape instead.
    text = json.dumps(entries).replace("'", "\\u0027")
    return f"'{text}'"
