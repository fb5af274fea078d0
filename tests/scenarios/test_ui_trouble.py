"""The Control UI in trouble, in a real browser: tabs that race, answers that make no sense, storage that fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, WebSocketRoute

from tests.scenarios.browser import DOWN, Tab, inside, open_tab, url_of
from tests.scenarios.programs import Gateway, eventually, free_port, running_gateway

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium")]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "home" / ".openclaw") as running:
        yield running


@pytest.fixture
def person(browser: Browser) -> Iterator[BrowserContext]:
    """Somebody with several tabs."""
    context = browser.new_context()
    yield context
    context.close()


def own_item(tab: Tab) -> None:
    """Open the details of this browser in the list of devices."""
    item = tab.page.get_by_role("listitem").filter(has_text="this browser")
    item.get_by_text("Details").click()


def test_two_tabs_that_start_at_once_are_one_device(person: BrowserContext, gateway: Gateway):
    with open_tab(person, url_of(gateway)) as one, open_tab(person, url_of(gateway)) as other:
        for tab in (one, other):
            tab.page.goto(tab.url, wait_until="commit")
        for tab in (one, other):
            tab.title("This gateway asks for its token")
        one.page.get_by_label("Token (or the whole link)").fill(gateway.token)
        one.press("Connect")

        one.title("Devices")
        other.title("Devices")  # by itself: what one tab was given is the other's too
    assert len(gateway.kept("paired.json")) == 1


def test_a_tab_that_comes_with_the_token_of_before_a_rotation_gets_in(
    person: BrowserContext, gateway: Gateway
):
    held: list[Callable[[], None]] = []

    def late(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        if held:
            return
        route.on_message(lambda said: held.append(lambda: server.send(said)))

    with open_tab(person, url_of(gateway)) as one, open_tab(person, url_of(gateway)) as other:
        one.open(f"#token={gateway.token}").title("Devices")
        other.page.route_web_socket(re.compile("^ws:"), late)
        other.page.goto(other.url)
        eventually(lambda: other.moment() and bool(held))
        own_item(one)
        one.press(re.compile("^Rotate the operator token"))
        one.confirm("Rotate")
        held[0]()

        other.title("Devices")
        one.page.reload()
        one.title("Devices")


def test_links_with_wrong_tokens_do_not_put_out_who_was_in(browser: Browser, gateway: Gateway):
    with inside(browser, gateway) as tab:
        for number in range(11):
            tab.page.goto(f"{tab.url}?token=wrong-{number}")
            tab.title("Devices")
        tab.page.evaluate("location.hash = '#token=wrong-at-last'")
        eventually(lambda: tab.moment() and "wrong" not in tab.page.url)

        tab.title("Devices")


def test_a_browser_that_keeps_nothing_is_told_and_may_try_again(browser: Browser, gateway: Gateway):
    script = """
      const open = IDBFactory.prototype.open;
      IDBFactory.prototype.open = function (...words) {
        if (!window.allowed) throw new DOMException("Access is denied.", "SecurityError");
        return open.apply(this, words);
      };
    """
    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.add_init_script(script)
        tab.open().title("This browser cannot keep a device key")
        assert "Access is denied." in tab.text()
        tab.picture("keeps-nothing")
        tab.page.evaluate("window.allowed = true")
        tab.press("Try again now")

        tab.title("This gateway asks for its token")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("Bad Gateway", id="text"),
        pytest.param("null", id="null"),
        pytest.param('{"type":"event","event":"connect.challenge"}', id="no-nonce"),
        pytest.param('{"type":"res","id":"1","ok":false}', id="no-error"),
    ],
)
def test_what_does_not_speak_the_protocol_is_no_fault_of_the_browser(
    browser: Browser, gateway: Gateway, answer: str
):
    def garbled(route: WebSocketRoute) -> None:
        challenge = '{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}'
        route.on_message(lambda _said: route.send(answer))
        route.send(challenge if '"id":"1"' in answer else answer)

    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.route_web_socket(re.compile("^ws:"), garbled)
        tab.open()
        refused = '"id":"1"' in answer
        tab.title("The gateway turned this page away" if refused else "The gateway does not answer")


def test_a_gateway_that_does_not_decide_is_waited_for(browser: Browser, gateway: Gateway):
    def mute(route: WebSocketRoute) -> None:
        route.on_message(lambda _said: None)
        route.send('{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}')

    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.clock.install()
        tab.page.route_web_socket(re.compile("^ws:"), mute)
        tab.open().title("Connecting …")
        tab.page.wait_for_timeout(300)
        tab.page.clock.run_for(31_000)

        tab.title("The gateway does not answer")
        assert "did not answer connect within 30 s" in tab.text()


def test_a_connection_that_ends_as_it_begins_is_made_anew(browser: Browser, gateway: Gateway):
    ended: list[str] = []

    def short(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def told(said: str | bytes) -> None:
            route.send(said)
            if not ended and "hello-ok" in str(said):
                ended.append(str(said))
                route.close(code=1012, reason="service restart")

        server.on_message(told)

    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.route_web_socket(re.compile("^ws:"), short)
        tab.open(f"#token={gateway.token}")
        tab.page.get_by_role("heading", name=re.compile("^Paired")).wait_for()

    assert ended


def test_a_check_that_hangs_keeps_nobody_from_coming_back(browser: Browser, tmp_path: Path):
    state_dir, port = tmp_path / "home" / ".openclaw", free_port()
    asked: list[str] = []
    with open_tab(browser, f"http://127.0.0.1:{port}/", expected=DOWN) as tab:
        tab.page.route("**/healthz", lambda route: asked.append(route.request.url))
        with running_gateway(state_dir, port=port) as gateway:
            tab.open(f"#token={gateway.token}").title("Devices")
        eventually(lambda: tab.moment() and bool(asked))
        with running_gateway(state_dir, port=port):
            eventually(lambda: tab.moment() and "reconnecting" not in tab.text())
            tab.title("Devices")


def test_a_clock_that_is_wrong_by_a_day_counts_from_the_gateways(browser: Browser, tmp_path: Path):
    state_dir, port = tmp_path / "home" / ".openclaw", free_port()
    with open_tab(browser, f"http://127.0.0.1:{port}/", expected=DOWN) as tab:
        tab.page.clock.install(time=time.time() + 86_400)
        with running_gateway(state_dir, port=port) as gateway:
            tab.open(f"#token={gateway.token}").title("Devices")
        tab.page.get_by_text("The gateway does not answer.").wait_for()

        assert re.search(r"Lost: (just now|\d+ s ago)", tab.text())
        assert "1 d" not in tab.text()
