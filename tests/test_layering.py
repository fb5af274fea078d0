"""Who may import whom: the table of the architecture, enforced."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import attrs
import pytest

from tests.imports import OURS, ROOT, Import, all_imports, imports_of

# A new name here is a decision: these modules must give the same answer for the same facts.
PURE_STDLIB = frozenset(
    [
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "struct",
        "types",
        "typing",
        "unicodedata",
        "urllib",
    ]
)


@attrs.frozen
class Layer:
    """A row of the table: what the files that match may import; None means anything."""

    files: str
    ours: tuple[str, ...]
    others: tuple[str, ...]
    not_ours: tuple[str, ...] = ()
    stdlib: frozenset[str] | None = None
    # In a pure layer even an annotation draws an arrow.
    counts_annotations: bool = False


# The first row whose pattern matches a file is its layer.
TABLE = (
    Layer(
        "stores/*",
        ours=("stores",),
        others=("attrs", "cattrs", "orjson", "filelock", "json5", "cryptography"),
        counts_annotations=True,
    ),
    Layer(
        "gateway/policy/*",
        ours=(
            "stores.records",
            "stores.errors",
            "stores.scopes",
            "gateway.policy",
            "gateway.protocol",
        ),
        others=("attrs", "cattrs"),
        stdlib=PURE_STDLIB,
        counts_annotations=True,
    ),
    Layer(
        "gateway/protocol/*",
        ours=(
            "stores.records",
            "stores.errors",
            "stores.scopes",
            "gateway.policy",
            "gateway.protocol",
        ),
        others=("attrs", "cattrs", "orjson"),
        stdlib=PURE_STDLIB,
        counts_annotations=True,
    ),
    Layer(
        "gateway/methods/*",
        ours=("stores", "gateway"),
        not_ours=("gateway.app", "gateway.main", "gateway.listener", "gateway.http"),
        others=("attrs", "cattrs", "orjson", "trio"),
    ),
    *(
        Layer(
            f"gateway/{name}.py",
            ours=("stores", "gateway"),
            not_ours=(
                "gateway.app",
                "gateway.main",
                "gateway.listener",
                "gateway.http",
                "gateway.session",
                "gateway.methods",
            ),
            others=("attrs", "cattrs", "orjson", "trio"),
        )
        for name in ("hub", "nodes", "presence", "expiry", "watch", "reload")
    ),
    Layer(
        "gateway/*",
        ours=("stores", "gateway"),
        not_ours=("gateway.app", "gateway.main"),
        others=(
            "attrs",
            "cattrs",
            "orjson",
            "cryptography",
            "trio",
            "trio_websocket",
            "h11",
            "wsproto",
        ),
    ),
    Layer(
        "cli/*",
        ours=("cli", "stores", "gateway.protocol", "gateway.policy", "gateway.version"),
        others=("attrs", "cattrs", "orjson", "click"),
    ),
)

# What a row forbids and one file may have all the same, with the reason it exists for.
EXCEPTIONS = {
    "gateway/app.py": ("gateway.app", "gateway.main"),
    "gateway/main.py": ("gateway.app",),
    # What writes the format of a scrape, loaded by the first one.
    "gateway/metrics.py": ("prometheus_client",),
    # What crosses to the server process, and the one file that speaks WebSocket.
    "cli/gateway.py": ("gateway.options", "gateway.first_process"),
    "cli/wire.py": ("wsproto",),
    # What draws a QR code, loaded when one is asked for.
    "cli/inviting.py": ("segno",),
    "gateway/methods/invitations.py": ("segno",),
}

# Costs tens of milliseconds each, which an offline command would pay for nothing.
SLOW_TO_LOAD = ("trio", "trio_websocket", "cryptography", "gateway.app", "gateway.main")
KEY_FILES = ("stores/keys.py", "stores/identity.py")


def test_every_import_is_allowed_by_its_layer():
    wrong = [str(found) for found in all_imports() if not is_allowed(found)]

    assert wrong == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        pytest.param("stores/pairing.py", "import trio", id="store-with-a-loop"),
        pytest.param("stores/pairing.py", "from gateway.policy import access", id="store-looks-up"),
        pytest.param("gateway/policy/access.py", "import time", id="policy-reads-a-clock"),
        pytest.param(
            "gateway/policy/access.py", "from stores import devices", id="policy-reads-files"
        ),
        pytest.param("gateway/protocol/frames.py", "import trio", id="frames-with-a-loop"),
        pytest.param("gateway/hub.py", "import trio_websocket", id="hub-knows-the-socket"),
        pytest.param(
            "gateway/hub.py", "from gateway.session import Session", id="hub-knows-its-user"
        ),
        pytest.param("gateway/session.py", "import gateway.app", id="session-knows-the-tree"),
        pytest.param(
            "gateway/methods/system.py", "import trio_websocket", id="method-on-the-socket"
        ),
        pytest.param("cli/devices.py", "import trio", id="cli-with-a-loop"),
        pytest.param("cli/devices.py", "from gateway.hub import Hub", id="cli-inside-the-gateway"),
        pytest.param(
            "cli/devices.py", "from wsproto import WSConnection", id="cli-dials-too-early"
        ),
        pytest.param("cli/client.py", "import trio", id="client-loads-trio-too-early"),
        pytest.param("gateway/log.py", "import structlog", id="undeclared"),
    ],
)
def test_a_forbidden_import_is_seen(file: str, line: str):
    found = list(imports_of(Path(file), ast.parse(line)))

    assert not any(is_allowed(each) for each in found)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        pytest.param("cli/wire.py", "def f():\n    import wsproto", id="wire-late"),
        pytest.param(
            "cli/gateway.py", "def f():\n    from gateway.main import main", id="run-late"
        ),
        pytest.param("cli/gateway.py", "if TYPE_CHECKING:\n    import trio", id="annotation"),
        pytest.param("stores/keys.py", "from cryptography.hazmat import primitives", id="keys"),
        pytest.param("gateway/policy/access.py", "from stores.records import Role", id="records"),
        pytest.param("gateway/policy/access.py", "from stores import errors", id="from-package"),
    ],
)
def test_an_allowed_import_passes(file: str, code: str):
    found = list(imports_of(Path(file), ast.parse(code)))

    assert found
    assert all(is_allowed(each) for each in found)


def test_the_websocket_library_stays_replaceable_in_a_day():
    files = {
        found.file
        for found in all_imports()
        if found.top == "trio_websocket" and not found.type_only
    }

    assert len([file for file in files if file.parts[0] == "gateway"]) <= 2
    assert [file.as_posix() for file in files if file.parts[0] == "cli"] in ([], ["cli/client.py"])


@pytest.mark.slow
def test_an_offline_command_loads_no_event_loop(tmp_path: Path):
    script = (
        "import sys\n"
        "from cli.main import main\n"
        "sys.argv[0] = 'openclaw'\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        "heavy = {'trio', 'trio_websocket', 'cryptography', 'gateway.app'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script, "devices", "list", "--offline"],
        env={**os.environ, "OPENCLAW_STATE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def is_allowed(found: Import) -> bool:
    """Return whether the table, or an exception to it, allows one import."""
    file = found.file.as_posix()
    layer = next(row for row in TABLE if fnmatch(file, row.files))
    if found.type_only and not (layer.counts_annotations and found.top in OURS):
        return True  # it loads nothing
    if is_late_enough(found) is False:
        return False
    if covered(found.name, EXCEPTIONS.get(file, ())):
        return True
    if file.startswith("cli/") and found.name.startswith("gateway.main"):
        return found.late  # `gateway run` is the gateway
    if found.top in OURS:
        return covered(found.name, layer.ours) and not covered(found.name, layer.not_ours)
    if found.top in sys.stdlib_module_names:
        return layer.stdlib is None or found.top in layer.stdlib
    return found.top in layer.others


def is_late_enough(found: Import) -> bool:
    """Return whether an import that costs a start-up is made only by the command that needs it."""
    file = found.file.as_posix()
    if not file.startswith(("cli/", "stores/")) or not covered(found.name, SLOW_TO_LOAD):
        return True
    return found.late or (found.top == "cryptography" and file in KEY_FILES)


def covered(name: str, by: tuple[str, ...]) -> bool:
    """Return whether a dotted name is one of the modules, or inside one."""
    return any(name == module or name.startswith(f"{module}.") for module in by)
