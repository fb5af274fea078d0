"""A real Chromium as a person uses it, and what it may never show: errors, other origins, violations."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as NeverCame

from tests.scenarios.programs import Gateway

CHROMIUM = "/usr/bin/chromium"

#: Without them Chromium talks to its maker's hosts, and needs a sandbox that root has not.
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

#: Where pictures are kept for a person to look at; nowhere unless the environment says.
PICTURES_VARIABLE = "OPENCLAW_TEST_PICTURES"

#: How long something may take to appear; a loaded machine is slow.
WITHIN_MS = 15_000

#: What Chromium writes of a gateway that is down; a page cannot keep it from doing so.
DOWN = ("WebSocket connection to", "net::ERR_CONNECTION_REFUSED")

#: Told by the page itself, before any script of its own: what its policy forbade.
_LISTEN_FOR_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`forbidden by the policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


@define(eq=False)
class Tab:
    """One page of a browser, and all that went wrong on it."""

    page: Page
    url: str
    wrong: list[str] = field(factory=list)
    asked: list[str] = field(factory=list)

    def open(self, rest: str = "") -> Tab:
        """Open an address below the gateway's; ``rest`` may hold a query or a fragment."""
        self.page.goto(self.url + rest)
        return self

    def title(self, words: str) -> None:
        """Wait for the heading of a screen or a section; what is there instead is told."""
        heading = self.page.get_by_role("heading", level=1, name=words, exact=True)
        try:
            heading.wait_for()
        except NeverCame as error:
            raise AssertionError(f"{words!r} never came: {self.text()!r} {self.wrong}") from error

    @property
    def main(self) -> Locator:
        """What the page is about, without its frame."""
        return self.page.get_by_role("main")

    def text(self) -> str:
        """What a person can read now."""
        return self.page.locator("body").inner_text()

    def section(self, name: str) -> None:
        """Go to a section as a person does."""
        self.page.get_by_role("navigation").get_by_role("link", name=name).click()
        self.title(name)

    def press(self, name: str | re.Pattern[str]) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=isinstance(name, str)).first.click()

    def confirm(self, name: str) -> None:
        """Press the button of the dialog that is open, and wait until it worked."""
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name=name, exact=True).click()
        dialog.wait_for(state="detached")

    def code(self) -> str:
        """The verification code on the screen."""
        place = self.page.locator("main .code-large")
        place.wait_for()
        return place.inner_text()

    def moment(self) -> bool:
        """Let the page live for a moment: in `eventually` it would stand still. Always true."""
        self.page.wait_for_timeout(50)
        return True

    def picture(self, name: str) -> None:
        """Keep a picture of all that is on the page, where pictures are kept."""
        folder = os.environ.get(PICTURES_VARIABLE)
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.evaluate("scrollTo(0, 0)")
            self.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)


def url_of(gateway: Gateway) -> str:
    """Return the address of a gateway's page."""
    return f"http://127.0.0.1:{gateway.port}/"


@contextmanager
def running_browser(folder: Path, inside: tuple[str, ...] = ()) -> Iterator[Browser]:
    """Run Chromium until the body ends.

    Args:
        inside: Words in front of it that take it elsewhere, such as a network namespace.
    """
    program = CHROMIUM
    if inside:
        script = folder / "chromium"
        script.write_text(f'#!/bin/sh\nexec {" ".join(inside)} {CHROMIUM} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        program = str(script)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_tab(
    browser: Browser | BrowserContext,
    url: str,
    *,
    expected: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[Tab]:
    """Open a page of a new person, or of one who is there already; nothing may go wrong on it.

    Args:
        url: Where the gateway is; the page may ask nobody else for anything.
        expected: Parts of messages in the console that this test is about.
        options: Of a new person: colour scheme, size of the window, and so on.
    """
    own = isinstance(browser, Browser)
    context = browser.new_context(**options) if isinstance(browser, Browser) else browser
    context.set_default_timeout(WITHIN_MS)
    page = context.new_page()
    tab = Tab(page, url)
    page.add_init_script(_LISTEN_FOR_VIOLATIONS)
    page.on("console", lambda message: _note(tab, message))
    page.on("pageerror", lambda error: tab.wrong.append(f"error: {error}"))
    page.on("request", lambda request: tab.asked.append(request.url))
    page.on("websocket", lambda socket: tab.asked.append(socket.url))
    try:
        yield tab
    finally:
        (context if own else page).close()
    wrong = [one for one in tab.wrong if not any(part in one for part in expected)]
    assert wrong == [], wrong
    here = urlsplit(url).netloc
    elsewhere = [one for one in tab.asked if urlsplit(one).netloc not in (here, "")]
    assert elsewhere == [], elsewhere


@contextmanager
def inside(
    browser: Browser, gateway: Gateway, section: str = "Devices", **options: Any
) -> Iterator[Tab]:
    """Open the page of an owner who is in, in a section."""
    with open_tab(browser, url_of(gateway), **options) as tab:
        tab.open(f"#token={gateway.token}").title("Devices")
        if section != "Devices":
            tab.section(section)
        yield tab


def _note(tab: Tab, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        tab.wrong.append(f"{message.type}: {message.text}")
