"""A page whose parts do not all come: the network of its computer changed, or the gateway just went down."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route

from tests.scenarios.browser import WITHIN_MS, url_of
from tests.scenarios.programs import Gateway, running_gateway

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium")]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / ".openclaw") as running:
        yield running


@contextmanager
def losing(browser: Browser, times: int) -> Iterator[tuple[Page, list[str]]]:
    """Open a tab that loads the page so often without a script it needs; yields its loads too."""
    loads: list[str] = []

    def note(request: Request) -> None:
        if request.is_navigation_request():
            loads.append(request.url)

    def pass_on(route: Route) -> None:
        if len(loads) <= times:
            route.abort("internetdisconnected")
        else:
            route.continue_()

    context = browser.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(WITHIN_MS)
        page.on("request", note)
        page.route("**/link.js", pass_on)
        yield page, loads
    finally:
        context.close()


def test_a_part_that_did_not_come_is_asked_for_again(browser: Browser, gateway: Gateway):
    with losing(browser, 1) as (page, loads):
        page.goto(f"{url_of(gateway)}#token={gateway.token}")
        page.get_by_role("heading", level=1, name="Devices", exact=True).wait_for()

        assert len(loads) == 2
        assert gateway.token not in page.url
        assert page.evaluate("sessionStorage.length") == 0


def test_what_never_comes_is_said_and_may_be_tried_again(browser: Browser, gateway: Gateway):
    with losing(browser, 4) as (page, loads):
        page.goto(url_of(gateway))
        alert = page.get_by_role("alert")
        alert.get_by_text("This page could not be loaded whole").wait_for()
        assert len(loads) == 4
        assert alert.get_by_role("heading").inner_text() == "OpenClaw gateway"

        page.get_by_role("button", name="Load it again").click()
        page.get_by_role("heading", level=1, name="This gateway asks for its token").wait_for()


@pytest.mark.parametrize(
    "script",
    [
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('no') }})",
        "Storage.prototype.setItem = () => { throw new DOMException('full') }",
    ],
    ids=["none", "full"],
)
def test_a_browser_that_keeps_nothing_is_told_at_once(
    browser: Browser, gateway: Gateway, script: str
):
    with losing(browser, 1) as (page, loads):
        page.add_init_script(script)
        page.goto(url_of(gateway))
        page.get_by_role("button", name="Load it again").wait_for()

        assert len(loads) == 1


def test_a_tab_in_the_background_goes_in_as_well(browser: Browser, gateway: Gateway):
    with losing(browser, 0) as (page, _):
        page.add_init_script("window.requestAnimationFrame = () => 0")  # what a hidden tab gets
        page.goto(f"{url_of(gateway)}#token={gateway.token}")

        page.get_by_role("heading", level=1, name="Devices", exact=True).wait_for()


def test_the_page_stays_while_the_gateway_is_gone(browser: Browser, gateway: Gateway):
    with losing(browser, 1) as (page, loads):
        page.goto(url_of(gateway))
        gateway.tell(signal.SIGKILL)
        gateway.process.wait()
        page.get_by_role("alert").get_by_text("is the gateway still running").wait_for()

        assert len(loads) == 1
        with running_gateway(gateway.state_dir, port=gateway.port):
            page.get_by_role("button", name="Load it again").click()
            page.get_by_role("heading", level=1, name="This gateway asks for its token").wait_for()


def test_a_page_that_fails_by_itself_is_not_loaded_again(browser: Browser, gateway: Gateway):
    wrong: list[str] = []

    def spoil(route: Route) -> None:
        route.fulfill(response=(answer := route.fetch()), body=f"{answer.text()}\nnull.boom;")

    with losing(browser, 0) as (page, loads):
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.route("**/shell.js", spoil)
        page.goto(url_of(gateway))
        page.get_by_role("alert").get_by_text("This page failed as it began").wait_for()

        assert len(loads) == 1
        assert len(wrong) == 1
