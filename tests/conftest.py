"""What every test stands on: no trace of this machine, and real programs only where they are real."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# What the pinned npm client declares as its engine.
OLDEST_NODE = (22, 19)

# No deadline: a shared machine that stalls is not a wrong program. Derandomized: the same tree gives the same answer.
# `make test ALL=1` takes the second; to look for news, `make test ARGS=--hypothesis-profile=explore`.
for name, examples, derandomize in (
    ("default", 100, True),
    ("thorough", 250, True),
    ("explore", 5000, False),
):
    hypothesis.settings.register_profile(
        name, deadline=None, max_examples=examples, derandomize=derandomize
    )
hypothesis.settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-real",
        action="store_true",
        help="fail a test whose real component is missing, instead of skipping it",
    )


@pytest.fixture(scope="session", autouse=True)
def _apart_from_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test, and every process it starts, away from the developer's own gateway."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("OPENCLAW_") and not name.startswith("OPENCLAW_TEST_"):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, for who runs several tests at a time, what shares something costly.

    A booted systemd and a built image are made once; else a file stays with one worker, which
    makes what its tests share.
    """
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        shared = next((name for name in ("box", "image") if name in fixtures), None)
        item.add_marker(pytest.mark.xdist_group(shared or str(item.path)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked ``real`` whose components are missing; fail it under --require-real."""
    missing = [
        f"{name}: {why}"
        for mark in item.iter_markers("real")
        for name in mark.args
        if (why := why_missing(name)) is not None
    ]
    if not missing:
        return
    reason = "real component missing: " + "; ".join(missing)
    if item.config.getoption("--require-real"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@functools.cache
def why_missing(component: str) -> str | None:
    """Return what to install for a real component, or None when this machine has it."""
    return COMPONENTS[component]()  # a KeyError is a misspelt marker


def _on_path(program: str, package: str) -> Callable[[], str | None]:
    def look() -> str | None:
        return None if shutil.which(program) else f"install {package}"

    return look


def _node() -> str | None:
    node = shutil.which("node")
    if node is None:
        return "install node"
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v(\d+)\.(\d+)", printed)
    if found and (int(found[1]), int(found[2])) >= OLDEST_NODE:
        return None
    return f"{node} is {printed.strip()}, needed is {OLDEST_NODE[0]}.{OLDEST_NODE[1]}"


def _from_npm(*packages: str) -> Callable[[], str | None]:
    def look() -> str | None:
        folder = os.environ.get("OPENCLAW_TEST_NPM_DIR")
        if not folder:
            return "set OPENCLAW_TEST_NPM_DIR to the folder where `.ci/run` installs it"
        if all(Path(folder, "node_modules", package).is_dir() for package in packages):
            return None
        return f"npm install --prefix {folder} {' '.join(packages)}"

    return look


def _namespaces() -> str | None:
    if not shutil.which("ip"):
        return "install iproute2"
    tried = subprocess.run(["unshare", "--net", "ip", "link"], capture_output=True, check=False)
    return "run as root, with CAP_SYS_ADMIN" if tried.returncode else None


def _systemd() -> str | None:
    if not shutil.which("systemctl") or not Path("/lib/systemd/systemd").exists():
        return "install systemd and dbus-user-session"
    if not Path("/usr/lib/systemd/user/dbus.socket").exists() or not shutil.which("loginctl"):
        return "install dbus-user-session and libpam-systemd"
    if not all(Path("/sys/fs/cgroup", tree).is_dir() for tree in ("unified", "systemd")):
        return "mount control groups in the hybrid layout (systemd.unified_cgroup_hierarchy=0)"
    return "run as root: a test boots it in namespaces of its own" if os.geteuid() else None


def _another_user() -> str | None:
    if os.geteuid():
        return "run as root: only root becomes another user"
    if not shutil.which("setpriv"):
        return "install util-linux"
    here = Path(__file__).resolve().parents[1]
    started = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", ""],
        capture_output=True,
        check=False,
    )
    enters = all(folder.stat().st_mode & 0o001 for folder in (here, *here.parents))
    return (
        "let others enter this checkout and its Python"
        if started.returncode or not enters
        else None
    )


def _openclaw_sdk() -> str | None:
    return None if importlib.util.find_spec("openclaw_sdk") else "pip install openclaw-sdk"


def _registry() -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        words = ["download", "-q", "--no-deps", "--disable-pip-version-check", "-d", folder, "h11"]
        tried = subprocess.run(
            [sys.executable, "-m", "pip", *words], capture_output=True, check=False
        )
    return "reach a package registry with pip" if tried.returncode else None


# The names that `@pytest.mark.real(...)` takes.
COMPONENTS: dict[str, Callable[[], str | None]] = {
    "another-user": _another_user,
    "caddy": _on_path("caddy", "caddy"),
    "chromium": _on_path("chromium", "chromium"),
    "namespaces": _namespaces,
    "nginx": _on_path("nginx", "nginx"),
    "node": _node,
    "npm-axe": _from_npm("axe-core"),
    "npm-client": _from_npm("@openclaw/gateway-client"),
    "npm-ed25519": _from_npm("esbuild", "@noble/ed25519", "@noble/hashes"),
    "npm-lint": _from_npm("eslint", "typescript"),
    "npm-openclaw-node": _from_npm("openclaw-node"),
    "openclaw-sdk": _openclaw_sdk,
    "openssl": _on_path("openssl", "openssl"),
    "registry": _registry,
    "systemd": _systemd,
}
