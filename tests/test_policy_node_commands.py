from __future__ import annotations

import pytest

from gateway.policy.node_commands import (
    DANGEROUS,
    Barred,
    CommandRules,
    Declared,
    allowed,
    barred,
    platform_of,
    scope_to_invoke,
    scopes_to_approve,
    surface,
    usable,
    way_to_allow,
)
from stores.scopes import ADMIN, PAIRING, WRITE

NONE = CommandRules()


def a_node(platform: str = "linux", **facts: object) -> Declared:
    """Return a node that was approved for what it declares, unless ``facts`` say otherwise."""
    commands = facts.setdefault("commands", ("system.run", "system.which"))
    assert isinstance(commands, tuple)
    facts.setdefault("approved", frozenset(commands))
    return Declared(platform=platform, **facts)  # type: ignore[arg-type]  # of the test's own


@pytest.mark.parametrize(
    ("platform", "family", "row"),
    [
        pytest.param("linux", None, "linux", id="linux"),
        pytest.param("Linux 6.1", None, "linux", id="linux-version"),
        pytest.param("darwin", None, "macos", id="darwin"),
        pytest.param("macOS 15", "Mac", "macos", id="macos"),
        pytest.param("win32", None, "windows", id="win32"),
        pytest.param("iOS 26", "iPhone", "ios", id="ios"),
        pytest.param("ipados", None, "ios", id="ipad"),
        pytest.param("android", None, "android", id="android"),
        pytest.param("beos", "iPhone", "ios", id="family-helps"),
        pytest.param("beos", None, "unknown", id="unknown"),
        pytest.param(None, None, "unknown", id="nothing-said"),
    ],
)
def test_a_platform_falls_into_a_row(platform: str | None, family: str | None, row: str):
    assert platform_of(platform, family) == row


@pytest.mark.parametrize(
    ("platform", "protocol", "command", "passes"),
    [
        pytest.param("linux", 3, "system.run", True, id="linux-runs"),
        pytest.param("linux", 3, "browser.proxy", True, id="linux-proxies"),
        pytest.param("linux", 3, "fs.listDir", False, id="older-lists-no-folders"),
        pytest.param("linux", 4, "fs.listDir", True, id="newer-lists-folders"),
        pytest.param("linux", 4, "browser.proxy.upload.v1", True, id="newer-uploads"),
        pytest.param("linux", 4, "file.write", False, id="linux-writes-no-files"),
        pytest.param("linux", 4, "canvas.eval", False, id="linux-has-no-canvas"),
        pytest.param("darwin", 4, "canvas.eval", True, id="mac-has-a-canvas"),
        pytest.param("darwin", 4, "system.run", True, id="mac-runs"),
        pytest.param("ios", 4, "system.notify", True, id="ios-notifies"),
        pytest.param("ios", 4, "system.run", False, id="ios-runs-nothing"),
        pytest.param("ios", 4, "fs.listDir", False, id="ios-is-no-desktop"),
        pytest.param("android", 4, "system.notify", False, id="android-notifies-not"),
        pytest.param("android", 4, "motion.activity", True, id="android-moves"),
        pytest.param("beos", 4, "location.get", True, id="unknown-is-somewhere"),
        pytest.param("beos", 4, "contacts.search", False, id="unknown-has-no-contacts"),
        pytest.param("linux", 4, "canvasser.run", False, id="a-prefix-ends-at-its-dot"),
        pytest.param("linux", 4, "system.runaway", False, id="a-name-is-whole"),
    ],
)
def test_a_platform_lets_its_own_commands_pass(
    platform: str, protocol: int, command: str, passes: bool
):
    assert allowed(command, a_node(platform, protocol=protocol), NONE) is passes


@pytest.mark.parametrize("command", sorted(DANGEROUS))
@pytest.mark.parametrize("platform", ["linux", "darwin", "ios", "android", "beos"])
def test_a_dangerous_command_passes_only_by_name(command: str, platform: str):
    node = a_node(platform)

    assert not allowed(command, node, NONE)
    assert allowed(command, node, CommandRules(allow=(command,)))


def test_a_denied_command_does_not_pass_whatever_allows_it():
    rules = CommandRules(allow=("system.run",), deny=("system.run",))

    assert not allowed("system.run", a_node(), rules)
    assert surface(a_node(), rules) == ("system.which",)


@pytest.mark.parametrize(
    ("command", "node", "rules", "why"),
    [
        pytest.param("system.run", a_node(), NONE, None, id="passes"),
        pytest.param(
            "system.execApprovals.set",
            a_node(commands=("system.execApprovals.set",)),
            CommandRules(allow=("system.execApprovals.set",)),
            Barred.OWN_METHODS,
            id="never-approvals",
        ),
        pytest.param("camera.snap", a_node(), NONE, Barred.NOT_ALLOWED, id="not-allowed"),
        pytest.param(
            "system.run", a_node(), CommandRules(deny=("system.run",)), Barred.DENIED, id="denied"
        ),
        pytest.param(
            "system.run", a_node(commands=()), NONE, Barred.NONE_DECLARED, id="none-declared"
        ),
        pytest.param("system.notify", a_node(), NONE, Barred.NOT_DECLARED, id="another-declared"),
        pytest.param(
            "system.run", a_node(approved=None), NONE, Barred.NOT_APPROVED, id="nothing-approved"
        ),
        pytest.param(
            "system.run",
            a_node(approved=frozenset({"system.which"})),
            NONE,
            Barred.NOT_APPROVED,
            id="another-approved",
        ),
        pytest.param(
            "system.run",
            a_node(approved=None, needs_approval=False, protocol=3),
            NONE,
            None,
            id="approved-with-its-device",
        ),
    ],
)
def test_what_bars_a_command(command: str, node: Declared, rules: CommandRules, why: Barred | None):
    assert barred(command, node, rules) is why


@pytest.mark.parametrize(
    ("node", "rules", "told"),
    [
        pytest.param(a_node(), NONE, ("system.run", "system.which"), id="all"),
        pytest.param(a_node(approved=None), NONE, (), id="hidden-until-approved"),
        pytest.param(
            a_node(approved=frozenset({"system.run", "gone"})), NONE, ("system.run",), id="both"
        ),
        pytest.param(
            a_node(), CommandRules(deny=("system.run",)), ("system.which",), id="denied-later"
        ),
        pytest.param(
            a_node(approved=None, needs_approval=False),
            NONE,
            ("system.run", "system.which"),
            id="needs-none",
        ),
    ],
)
def test_operators_see_the_commands_they_may_invoke(
    node: Declared, rules: CommandRules, told: tuple[str, ...]
):
    assert usable(node, rules) == told


@pytest.mark.parametrize(
    ("commands", "scopes"),
    [
        pytest.param((), (PAIRING,), id="none"),
        pytest.param(("canvas.eval",), (PAIRING, WRITE), id="harmless"),
        pytest.param(("canvas.eval", "system.run"), (PAIRING, ADMIN), id="runs-programs"),
        pytest.param(("system.run.prepare",), (PAIRING, ADMIN), id="prepares"),
        pytest.param(("system.which",), (PAIRING, ADMIN), id="looks-up"),
        pytest.param(("system.execApprovals.get",), (PAIRING, ADMIN), id="approvals"),
        pytest.param(("browser.proxy.upload.v1",), (PAIRING, ADMIN), id="uploads"),
        pytest.param(("fs.listDir",), (PAIRING, ADMIN), id="lists-folders"),
        pytest.param(("terminal.upload",), (PAIRING, ADMIN), id="terminal"),
    ],
)
def test_approving_takes_what_the_commands_can_do(
    commands: tuple[str, ...], scopes: tuple[str, ...]
):
    assert scopes_to_approve(commands) == scopes


@pytest.mark.parametrize(
    ("command", "scope"),
    [
        pytest.param("system.run", WRITE, id="run"),
        pytest.param("browser.proxy", ADMIN, id="proxy"),
        pytest.param("browser.proxy.upload.v1", ADMIN, id="upload"),
        pytest.param("fs.listDir", ADMIN, id="folders"),
        pytest.param("terminal.upload", ADMIN, id="terminal"),
    ],
)
def test_invoking_takes_what_the_command_can_do(command: str, scope: str):
    assert scope_to_invoke(command) == scope


def test_the_way_to_allow_a_command_keeps_what_is_listed():
    rules = CommandRules(allow=("camera.snap",), deny=("system.run", "sms.send"))

    added = way_to_allow("it's", rules, Barred.NOT_ALLOWED)
    undone = way_to_allow("system.run", rules, Barred.DENIED)

    assert added == ('config set gateway.nodes.commands.allow \'["camera.snap", "it\\u0027s"]\'')
    assert undone == "config set gateway.nodes.commands.deny '[\"sms.send\"]'"
