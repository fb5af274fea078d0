"""Every command line that the documents and the helps show, typed on a machine with a real gateway."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.examples import EXAMPLES
from tests.scenarios.docs_stage import Shown, Stage, base_config, on_terminal, program
from tests.scenarios.programs import free_port, running_gateway
from tests.test_docs import DOCUMENTS, OUR_COMMAND, TYPED, lines_of

pytestmark = pytest.mark.slow

Fill = Callable[[Stage], str]


def _named(come: Callable[[], str], name: str = "kitchen") -> str:
    """Let somebody come, and return the word for it in the line."""
    come()
    return name


def _blocked(stage: Stage) -> str:
    stage.before("devices", "block", stage.kitchen(), "--yes")
    return "kitchen"


#: What stands for something else, and what it stands for, by how a line begins; each counts.
FILLED: tuple[tuple[str, str, Fill], ...] = (
    (r"openclaw nodes (approve|reject)", r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b", Stage.node_code),
    (
        r"openclaw (devices (approve|reject)|gateway why)",
        r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b",
        Stage.code,
    ),
    (r"openclaw devices approve", r"\bCODE\b", Stage.code),
    (r"openclaw devices approve --wait --device", r"\bID\b", Stage.waiting_device),
    (r"openclaw devices approve --wait$", r"$", lambda stage: _named(stage.waiting_device, "")),
    (r"openclaw devices unblock", r"\bkitchen\b", _blocked),
    (r"openclaw devices (?!unblock)", r"\bkitchen\b", lambda stage: _named(stage.kitchen)),
    (r"openclaw devices", r"\bDEVICE(_ID)?\b", Stage.kitchen),
    (r"openclaw nodes", r"\bkitchen\b", lambda stage: _named(stage.kitchen_node)),
    (r"openclaw devices invite --revoke", r"\b27754ee0\b", Stage.invitation),
    (r"openclaw gateway lockouts clear", r"203\.0\.113\.9", Stage.locked_out),
    (r"openclaw config set", r"\bHASH\b", Stage.config_hash),
    (r"openclaw", r"/run/secrets/token|\bFILE\b", Stage.secret_file),
    (r"openclaw config set", r"/etc/openclaw/gw\.crt", lambda stage: stage.certificate("crt")),
    (r"openclaw config set", r"/etc/openclaw/gw\.key", lambda stage: stage.certificate("key")),
    (r"openclaw config set", r"sha256:3F…", lambda _: "sha256:" + "3F" * 32),
    (r"openclaw .*gateway run", r"--port \d+", lambda _: f"--port {free_port()}"),
)

PROXY = """openclaw config set gateway.trustedProxies '["127.0.0.1"]'"""

#: Lines that count only after others: those, in their order.
AFTER: dict[str, tuple[str, ...]] = {
    "openclaw config get gateway.auth.mode": ("openclaw config set gateway.auth.mode token",),
    "openclaw config get gateway.trustedProxies": (PROXY,),
    "openclaw config unset gateway.publicOrigin": (
        "openclaw config set gateway.publicOrigin https://gateway.example.com",
    ),
    "openclaw config set gateway.auth.mode trusted-proxy": (
        PROXY,
        "openclaw config set gateway.auth.trustedProxy.userHeader X-Forwarded-User",
    ),
    "openclaw gateway fingerprint": (
        "openclaw config set gateway.tls.enabled true",
        "openclaw gateway restart",
    ),
}

#: Lines that do not end with 0, and why.
ENDS: dict[str, tuple[int, str]] = {
    "openclaw config rollback 1": (1, "shows the difference and does nothing without --yes"),
    "openclaw config rollback good": (1, "shows the difference and does nothing without --yes"),
    "openclaw doctor --json --lint": (1, "something sent proxy headers here"),
    "openclaw doctor proxy --json --lint": (1, "something sent proxy headers here"),
    "openclaw gateway probe --url wss://gateway.example": (3, "the name is nobody's"),
    "openclaw pairing approve 7KQ2-M9XD": (1, "names the command that is meant"),
    "openclaw gateway install": (1, "there is no service manager"),
    "openclaw gateway start": (1, "there is no service manager"),
}

#: Lines that run until they are told to end: what they show once they run, and what ends them.
UNTIL_TOLD: tuple[tuple[str, str, signal.Signals, int], ...] = (
    (r"openclaw (.* )?gateway run", "listening on", signal.SIGTERM, 0),
    (r"openclaw logs --follow", "\n", signal.SIGINT, 130),
    (r"openclaw devices watch", "Watching for devices", signal.SIGINT, 130),
)

OF_THE_SERVICE = r"openclaw gateway (install|uninstall|start|stop|restart)$"

#: Lines that change the running gateway for good, and so get one of their own.
APART = frozenset({"openclaw gateway stop", "openclaw gateway fingerprint"})

#: Lines that are not typed here, and why.
EXCUSED: tuple[tuple[str, str], ...] = (
    (r"sudo ", "takes another user"),
    (r"ExecStart=", "is for systemd; the scenario of the watch types its words"),
    (r"docker ", "takes a container; the scenarios of the image type these"),
    (r"OPENCLAW_STATE_DIR=/tmp/other-device ", "takes the proxy that its page sets up"),
    (r"openclaw gateway run .*--bind lan", "listens beyond this machine"),
)


def shown() -> Iterator[str]:
    """Yield every line of the program that a block of a document or an example shows, once each."""
    blocks = (
        line.strip().removeprefix("$ ")
        for document in DOCUMENTS
        if document.name != "CHANGELOG.md"
        for _, line, language in lines_of(document)
        if language in TYPED and OUR_COMMAND.search(line)
    )
    found = (*blocks, *(line for lines in EXAMPLES.values() for line in lines))
    plain = (
        re.sub(r"\s+# .*", "", line.replace(".venv/bin/openclaw", "openclaw")) for line in found
    )
    yield from dict.fromkeys(plain)


ALL = sorted(shown())
LINES = [line for line in ALL if not any(re.match(start, line) for start, _ in EXCUSED)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run a gateway that has seen a few changes of its configuration."""
    folder, port = tmp_path_factory.mktemp("docs"), free_port()
    state_dir = folder / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    (state_dir / "openclaw.json").write_text(base_config(port))
    with running_gateway(state_dir, port=port) as gateway:
        made = Stage(gateway, program(folder / "bin"))
        for level in ("debug", "info", "warn"):
            made.before("config", "set", "logging.level", level)
        made.code()
        yield made


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_that_is_shown_does_what_it_says(
    stage: Stage, line: str, tmp_path: Path
) -> None:
    if line in APART:
        with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
            done = typed(Stage(gateway, stage.bin), line, tmp_path)
    else:
        with stage.one_line():
            done = typed(stage, line, tmp_path)

    assert done.code == ENDS.get(line, (0, ""))[0], f"add it to a table, or correct it: {done.text}"
    assert "Traceback" not in done.text
    assert "mistake in openclaw itself" not in done.text


def test_the_tables_speak_of_lines_that_are_shown() -> None:
    starts = [str(row[0]) for row in (*FILLED, *UNTIL_TOLD, *EXCUSED)]

    unused = [start for start in starts if not any(re.match(start, line) for line in ALL)]

    assert unused == []
    assert {*AFTER, *ENDS, *APART} - set(ALL) == set()


def typed(stage: Stage, line: str, fresh: Path) -> Shown:
    """Type a line on the stage; a gateway of its own gets a home of its own."""
    for start, told, number, code in UNTIL_TOLD:
        if re.match(start, line):
            env = stage.env()
            if "gateway run" in line:
                own = {"HOME": str(fresh), "OPENCLAW_STATE_DIR": ""}
                env = stage.env(**own, OPENCLAW_GATEWAY_PORT=str(free_port()))
            done = on_terminal(filled(stage, line), env, fresh, (told, number))
            assert done.code == code, done.text
            return Shown(0, done.text)
    for earlier in AFTER.get(line, ()):
        assert on_terminal(earlier, stage.env(), fresh).code == 0
    if re.match(OF_THE_SERVICE, line):
        # what asks a service manager finds none, so that no service of this machine is touched
        return on_terminal(line, stage.env(PATH=str(stage.bin)), fresh)
    return on_terminal(filled(stage, line), stage.env(), fresh)


def filled(stage: Stage, line: str) -> str:
    """Return a line with all that stands for something else filled in."""
    for start, what, fill in FILLED:
        if re.match(start, line) and re.search(what, line):
            line = re.sub(what, fill(stage), line, count=1)
    return line
