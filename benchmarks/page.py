"""What a person waits for the Control UI to appear, and what it weighs, in a real Chromium."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from benchmarks.effort import Effort
from benchmarks.footprint import KIB
from benchmarks.processes import gateway
from benchmarks.table import Row

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]

PAINT_TARGET_MS = 100
WEIGHT_TARGET_KIB = 150

_PAINTED = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(list.getEntries()[0].startTime))
    .observe({type: "paint", buffered: true});
})"""
_WEIGHED = """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
  .reduce((sum, one) => sum + one.decodedBodySize, 0)"""

#: The least that a page can be.
_BARE = b"<!doctype html><title>bare</title><h1>bare</h1>"


def page_rows(effort: Effort, scratch: Path) -> Iterator[Row]:
    """Yield the first paint of a browser that was never there, and all that it was sent."""
    if find_spec("playwright") is None or not CHROMIUM.exists():
        print("the page was not measured: it takes playwright and chromium", file=sys.stderr)
        return
    from playwright.sync_api import sync_playwright  # a test tool: the rest measures without it

    with (
        gateway(scratch / "page") as ours,
        _bare_page() as bare_port,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        there, bare = f"http://127.0.0.1:{ours.port}/", f"http://127.0.0.1:{bare_port}/"
        _visit(browser, there)  # the first of all pages waits for the browser itself
        visits = [(_visit(browser, there), _visit(browser, bare)) for _ in range(effort.pages)]
        browser.close()
    painted = statistics.median(first for (first, _), _ in visits)
    yield Row("first paint of the page, nothing cached", painted, "ms", PAINT_TARGET_MS)
    floor = statistics.median(first for _, (first, _) in visits)
    yield Row("first paint of a bare page", floor, "ms")
    weight = max(size for (_, size), _ in visits) / KIB
    yield Row("what the page weighs, uncompressed", weight, "KiB", WEIGHT_TARGET_KIB)


def _visit(browser: Browser, url: str) -> tuple[float, int]:
    """Return when the first text stood on a page, ms, and how many bytes it is made of."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(url, wait_until="networkidle")
    painted, weighed = page.evaluate(_PAINTED), page.evaluate(_WEIGHED)
    context.close()
    return float(painted), int(weighed)


@contextmanager
def _bare_page() -> Iterator[int]:
    class Bare(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(_BARE)))
            self.end_headers()
            self.wfile.write(_BARE)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Bare) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
