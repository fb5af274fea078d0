"""The Control UI's own code: typed, linted, tested where it is pure, and its vendored part as published."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UI, TOOLS = ROOT / "gateway" / "ui", ROOT / "tests" / "ui"
VENDORED = UI / "vendor" / "ed25519.js"


def tool(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the npm packages that judge the page."""
    program = Path(os.environ["OPENCLAW_TEST_NPM_DIR"], "node_modules", ".bin", name)
    return subprocess.run(
        [str(program), *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.real("node", "npm-lint")
def test_every_script_is_typed():
    done = tool("tsc", "-p", str(TOOLS / "tsconfig.json"))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.real("node", "npm-lint")
def test_every_script_passes_the_linter():
    done = tool("eslint", "-c", str(TOOLS / "eslint.config.mjs"), "gateway/ui")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.real("node")
def test_what_is_pure_does_what_it_says():
    files = sorted(map(str, TOOLS.glob("*.test.mjs")))
    words = ["node", "--test", "--test-reporter=tap", *files]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^# pass [1-9]\d", done.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.real("node", "npm-ed25519")
def test_the_vendored_key_is_what_the_published_packages_make():
    folder = os.environ["OPENCLAW_TEST_NPM_DIR"]
    script = str(TOOLS / "bundle-ed25519.mjs")
    done = subprocess.run(["node", script, folder], capture_output=True, text=True, check=False)
    notice, _, code = VENDORED.read_text().partition(" */\n")

    assert done.returncode == 0, done.stderr
    assert code == done.stdout
    for named in ("@noble/ed25519 3.2.0", "@noble/hashes 2.4.0", "The MIT License (MIT)"):
        assert named in notice


@pytest.mark.parametrize("script", sorted(UI.glob("*.js")), ids=lambda path: path.name)
def test_every_script_asks_to_be_typed_and_stays_readable(script: Path):
    text = script.read_text()

    assert text.startswith("// @ts-check\n/**")
    assert len(text.splitlines()) <= 400
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function", text)


def test_nothing_is_fetched_from_elsewhere():
    for file in (*UI.glob("*.js"), *UI.glob("*.css"), UI / "index.html"):
        found = re.findall(r"https?://[^\s\"'`)]+", file.read_text())
        kept = [
            one
            for one in found
            if not one.startswith(("http://www.w3.org/2000/svg", "http://127.0.0.1:"))
        ]
        assert kept == [], file.name
