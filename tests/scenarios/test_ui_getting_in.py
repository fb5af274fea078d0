"""S7, S20, S22, S23 in a real browser: how a person gets in, and what the page says while it does not."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route

from gateway.policy.approval import RETRY_AFTER_MS
from gateway.policy.words import CREDENTIAL_CODES, PROOF_SENTENCES
from gateway.protocol.errors import DetailCode, ErrorCode
from tests.scenarios.browser import DOWN, Tab, open_tab, url_of
from tests.scenarios.programs import (
    FORWARDS,
    Gateway,
    eventually,
    free_port,
    running_gateway,
    running_nginx,
)
from tests.scenarios.test_trusted_proxy import on_loopback

#: Longer than a page that waits for approval waits between two tries.
WAITS_S = RETRY_AFTER_MS / 1000 + 1

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium")]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "home" / ".openclaw") as running:
        yield running


@pytest.fixture
def proxy(tmp_path: Path, gateway: Gateway) -> Iterator[str]:
    """Where people of elsewhere come from: nginx forwards them, so that nobody is local."""
    with running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as port:
        yield f"http://127.0.0.1:{port}/"


def kept_by(tab: Tab) -> str:
    """All that a page keeps beyond its own life, as text."""
    return str(
        tab.page.evaluate(
            """async () => {
              const base = await new Promise((done) => {
                const asked = indexedDB.open("openclaw-gateway");
                asked.onsuccess = () => done(asked.result);
              });
              const shelf = base.transaction("kept").objectStore("kept");
              const all = await new Promise((done) => {
                const asked = shelf.getAll();
                asked.onsuccess = () => done(asked.result);
              });
              base.close();
              const words = [localStorage, sessionStorage].map((one) => JSON.stringify(one));
              return JSON.stringify(all) + words.join() + document.cookie + location.href;
            }"""
        )
    )


def test_a_first_browser_is_approved_on_the_command_line_and_enters_by_itself(
    browser: Browser, gateway: Gateway, proxy: str
):
    with open_tab(browser, proxy) as tab:
        tab.open(f"#token={gateway.token}").title("Approve this browser")
        code = tab.code()
        tab.page.evaluate("window.sameDocument = true")

        shown = tab.text()
        assert code in gateway.openclaw("devices", "list").out
        assert f"devices approve {code}" in shown
        assert re.search(r"not local: a proxy that the gateway does not trust forwarded it", shown)
        assert "left alone, the request ends in" in shown
        tab.picture("pairing")

        assert gateway.openclaw("devices", "approve", code).code == 0
        tab.title("Devices")
        assert tab.page.evaluate("window.sameDocument") is True
        assert "this browser" in tab.text()
        tab.picture("inside")


def test_the_code_stays_the_same_while_the_page_waits(
    browser: Browser, gateway: Gateway, proxy: str
):
    with open_tab(browser, proxy) as tab:
        tab.open(f"#token={gateway.token}").title("Approve this browser")
        code, sockets = tab.code(), tab.asked.count(proxy.replace("http", "ws"))
        tab.press("Try again now")
        eventually(lambda: tab.moment() and len(tab.asked) > sockets + 2)

        assert tab.code() == code
        assert list(gateway.kept("pending.json")) == [code]


def test_a_page_that_was_rejected_says_so_and_asks_again_only_when_told_to(
    browser: Browser, gateway: Gateway, proxy: str
):
    with open_tab(browser, proxy) as tab:
        tab.open(f"#token={gateway.token}").title("Approve this browser")
        code = tab.code()

        assert gateway.openclaw("devices", "reject", code).code == 0
        tab.title("An operator turned this browser down")
        tab.picture("rejected")
        time.sleep(WAITS_S)
        assert gateway.kept("pending.json") == {}
        assert "openclaw devices approve --wait" in tab.text()

        tab.press("Ask again")
        tab.title("Approve this browser")
        assert tab.code() == code
        assert gateway.openclaw("devices", "approve", code).code == 0
        tab.title("Devices")


@pytest.mark.parametrize("sign", ["#", "?"])
def test_a_link_with_the_token_is_stripped_and_the_token_is_not_kept(
    browser: Browser, gateway: Gateway, sign: str
):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open(f"{sign}token={gateway.token}").title("Devices")

        assert "token" not in tab.page.url
        assert gateway.token not in kept_by(tab)
        assert "deviceToken" in kept_by(tab)
        tab.page.go_back()
        assert gateway.token not in tab.page.url

    assert gateway.token not in "".join(map(str, gateway.logged()))


def test_who_was_in_comes_back_without_a_word(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open(f"#token={gateway.token}").title("Devices")
        tab.open()
        tab.page.reload()

        tab.title("Devices")


def test_the_key_cannot_be_taken_out_of_the_browser(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open(f"#token={gateway.token}").title("Devices")

        extractable = tab.page.evaluate(
            """() => new Promise((done) => {
              indexedDB.open("openclaw-gateway").onsuccess = (event) => {
                const shelf = event.target.result.transaction("kept").objectStore("kept");
                shelf.get("key").onsuccess = (found) => done(found.target.result.privateKey.extractable);
              };
            })"""
        )
        assert extractable is False


def test_the_owners_link_opens_the_page_once_from_anywhere(
    browser: Browser, gateway: Gateway, proxy: str
):
    told = gateway.openclaw("dashboard", "--json").json
    link = f"{proxy}#{told['url'].partition('#')[2]}"

    with open_tab(browser, proxy) as tab:
        tab.page.goto(link)
        tab.title("Devices")
        assert "bootstrapToken" not in tab.page.url
        assert "admin" in tab.page.locator("header.bar").inner_text()
    assert gateway.kept("pending.json") == {}

    with open_tab(browser, proxy) as second:
        second.page.goto(link)
        second.title("This link does not count any more")
        assert "openclaw dashboard" in second.text()
        second.picture("link-used")


def test_a_link_that_names_another_gateway_sends_nothing_there(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open(f"?gatewayUrl=ws://127.0.0.1:{free_port()}#token={gateway.token}")
        tab.title("Devices")

        assert "gatewayUrl" not in tab.page.url


def test_without_a_token_the_page_says_where_to_get_in(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open().title("This gateway asks for its token")
        assert re.search(r"openclaw dashboard", tab.text())
        tab.picture("token-missing")

        tab.page.get_by_label("Token (or the whole link)").fill(gateway.token)
        tab.press("Connect")
        tab.title("Devices")
        assert gateway.token not in kept_by(tab)


def test_a_whole_link_may_be_pasted(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open().title("This gateway asks for its token")
        link = gateway.openclaw("dashboard", "--json").json["url"]
        tab.page.get_by_label("Token (or the whole link)").fill(link)
        tab.press("Connect")

        tab.title("Devices")


def test_a_wrong_token_is_told_from_a_missing_one(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open("#token=wrong").title("That is not this gateway's token")
        tab.picture("token-mismatch")

        assert tab.page.get_by_label("Token (or the whole link)").get_attribute("aria-invalid")
        assert "dashboard" in tab.text()


def test_a_wrong_token_in_a_link_does_not_lock_out_who_was_in(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open(f"#token={gateway.token}").title("Devices")
        tab.open("?token=stale").title("Devices")


def test_a_wrong_password_is_called_one(browser: Browser, tmp_path: Path):
    words = ("--auth", "password", "--password", "the-right-one")
    with (
        running_gateway(tmp_path / "home" / ".openclaw", *words) as gateway,
        open_tab(browser, url_of(gateway)) as tab,
    ):
        tab.open().title("This gateway asks for its password")
        tab.page.get_by_label("Password (or the whole link)").fill("wrong")
        tab.press("Connect")
        tab.title("That is not this gateway's password")
        tab.page.get_by_label("Password (or the whole link)").fill("the-right-one")
        tab.press("Connect")
        tab.title("Devices")


def test_too_many_wrong_tokens_show_how_long_to_wait(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open().title("This gateway asks for its token")
        for number in range(10):
            tab.page.get_by_label("Token (or the whole link)").fill(f"wrong-{number}")
            tab.press("Connect")
            tab.title("That is not this gateway's token")
        tab.page.get_by_label("Token (or the whole link)").fill(gateway.token)
        tab.press("Connect")
        tab.title("Too many wrong secrets came from here")
        tab.picture("throttled")

        assert re.search(r"Try again in (4 min|5 min)", tab.text())
        assert tab.page.get_by_role("button", name="Connect").is_disabled()
        assert gateway.openclaw("gateway", "lockouts", "clear", "--all").code == 0


def test_an_unknown_address_is_named_with_the_command_that_allows_it(
    browser: Browser, gateway: Gateway, tmp_path: Path
):
    host = "proxy_set_header Host gw.internal;"
    with (
        running_nginx(tmp_path / "other", gateway.port, host) as port,
        open_tab(browser, f"http://127.0.0.1:{port}/") as tab,
    ):
        tab.open(f"#token={gateway.token}").title("The gateway does not know this address")
        origin = f"http://127.0.0.1:{port}"
        command = f"config set gateway.controlUi.allowedOrigins '[\"{origin}\"]'"
        assert command in tab.text()
        assert f"Page of\n{origin}" in tab.text()
        tab.picture("origin")

        key = "gateway.controlUi.allowedOrigins"
        assert gateway.openclaw("config", "set", key, f'["{origin}"]').code == 0
        tab.title("Approve this browser")


def test_a_page_of_another_version_is_told_to_load_anew(browser: Browser, gateway: Gateway):
    def older(route: Route) -> None:
        answer = route.fetch()
        fresh = answer.headers | {"cache-control": "no-store"}
        body = answer.text().replace("PROTOCOL = 4", "PROTOCOL = 9")
        route.fulfill(response=answer, headers=fresh, body=body)

    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.route("**/wire.js", older)
        tab.open(f"#token={gateway.token}")
        tab.title("This page is of another version than the gateway")
        tab.picture("protocol")
        tab.page.unroute("**/wire.js")
        tab.press("Load the page anew")

        tab.title("This gateway asks for its token")


def test_a_blocked_browser_is_told_so(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open(f"#token={gateway.token}").title("Devices")
        (device_id,) = gateway.kept("paired.json")
        assert gateway.openclaw("devices", "block", device_id, "--yes").code == 0

        tab.title("This browser is blocked")
        assert f"devices unblock {device_id}" in tab.text()
        tab.picture("blocked")


def test_a_gateway_that_is_down_is_waited_for(browser: Browser, tmp_path: Path):
    state_dir, port = tmp_path / "home" / ".openclaw", free_port()
    with open_tab(browser, f"http://127.0.0.1:{port}/", expected=DOWN) as tab:
        with running_gateway(state_dir, port=port) as gateway:
            tab.open(f"#token={gateway.token}").title("Devices")
        tab.page.get_by_text("The gateway does not answer.").wait_for()
        tab.picture("down")
        assert "paired" in tab.text().lower()  # what was there stays in sight

        with running_gateway(state_dir, port=port):
            tab.page.get_by_text("The gateway does not answer.").wait_for(state="detached")
            tab.title("Devices")


@pytest.mark.real("nginx")
def test_a_proxy_that_drops_the_upgrade_is_told_from_a_gateway_that_is_down(
    browser: Browser, gateway: Gateway, tmp_path: Path
):
    bare = f"location /bare/ {{ proxy_pass http://127.0.0.1:{gateway.port}/; }}"
    with (
        running_nginx(tmp_path / "bare", gateway.port, server=bare) as port,
        open_tab(browser, f"http://127.0.0.1:{port}/bare/", expected=DOWN) as tab,
    ):
        tab.open().title("A proxy on the way stops WebSockets")
        assert "proxy_set_header Upgrade $http_upgrade;" in tab.text()
        assert f"openclaw gateway probe --url ws://127.0.0.1:{port}/bare/" in tab.text()
        tab.picture("proxy-drops-upgrade")


def test_a_proxy_that_signs_in_is_pointed_to_and_no_secret_is_asked_for(
    browser: Browser, tmp_path: Path
):
    with (
        on_loopback(tmp_path, allowLoopback=False) as gateway,
        open_tab(browser, url_of(gateway)) as tab,
    ):
        tab.open().title("Come in through the proxy")
        assert "gateway.auth.trustedProxy.allowLoopback" in tab.text()
        assert tab.page.locator("input").count() == 0
        tab.picture("proxy-passed-by")


@pytest.mark.real("nginx")
def test_whom_the_proxy_signed_in_and_is_not_let_in_is_told_so(browser: Browser, tmp_path: Path):
    signs = "proxy_set_header X-Signed yes; proxy_set_header X-Forwarded-User mallory;"
    with (
        on_loopback(tmp_path, allowUsers=["alice@example.org"]) as gateway,
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS, signs) as port,
        open_tab(browser, f"http://127.0.0.1:{port}/") as tab,
    ):
        tab.open().title("The proxy signed in somebody who is not let in")
        assert "gateway.auth.trustedProxy.allowUsers" in tab.text()
        tab.picture("proxy-not-allowed")


def test_every_code_of_a_refusal_has_a_screen_of_its_own(browser: Browser, gateway: Gateway):
    codes = {*CREDENTIAL_CODES.values(), *(one.detail_code for one in PROOF_SENTENCES)}
    codes |= {DetailCode.AUTH_RATE_LIMITED, DetailCode.PAIRING_REQUIRED}
    codes |= {DetailCode.CONTROL_UI_ORIGIN_NOT_ALLOWED, DetailCode.PROTOCOL_MISMATCH}
    codes |= {DetailCode.CONTROL_UI_DEVICE_IDENTITY_REQUIRED}
    script = """async (codes) => {
      const { screenOf } = await import(document.querySelector("link[href$='/refusals.js']").href);
      return codes.map((code) => [code, screenOf({ code, message: "", details: {} }).title]);
    }"""
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open().title("This gateway asks for its token")
        told = tab.page.evaluate(script, [*sorted(codes), str(ErrorCode.UNAVAILABLE)])

    assert [code for code, title in told if title == "The gateway turned this page away"] == []
