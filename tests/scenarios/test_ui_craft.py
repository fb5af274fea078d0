"""How the Control UI is made: for every eye, hand and width, with nothing from elsewhere, behind any front."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.pems import a_pair
from tests.scenarios.browser import Tab, open_tab, url_of
from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import (
    FORWARDS,
    Gateway,
    running_gateway,
    running_nginx,
)
from tests.scenarios.test_s29_live_edits import TOKEN, written

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium")]

SECTIONS = ("Devices", "Connections", "Nodes", "Health", "Config", "Logs")
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1600, "height": 1000}}
DARK, LIGHT = {"color_scheme": "dark"}, {"color_scheme": "light"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway where there is something to see in every section."""
    with running_gateway(tmp_path_factory.mktemp("home") / ".openclaw") as running:
        for token in (running.token, "wrong"):
            knock(running.port, **stranger(token))
        yield running


def enter(tab: Tab, gateway: Gateway) -> Tab:
    tab.open(f"#token={gateway.token}").title("Devices")
    return tab


def settled(tab: Tab, section: str) -> None:
    """Go to a section and wait until it has something to show."""
    tab.section(section)
    expect(tab.main.get_by_text("Looking …")).to_have_count(0)


def broken_rules(tab: Tab) -> list[str]:
    """What axe-core finds on the page as it is, best practice included."""
    source = Path(os.environ["OPENCLAW_TEST_NPM_DIR"], "node_modules/axe-core/axe.min.js")
    tab.page.evaluate(source.read_text())
    found: dict[str, Any] = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.real("npm-axe")
@pytest.mark.parametrize("scheme", [pytest.param(LIGHT, id="light"), pytest.param(DARK, id="dark")])
def test_every_section_is_for_everybody(browser: Browser, gateway: Gateway, scheme: Any):
    with open_tab(browser, url_of(gateway), **scheme) as tab:
        enter(tab, gateway)
        found = {}
        for section in SECTIONS:
            settled(tab, section)
            for summary in tab.main.locator("summary").all()[:3]:
                summary.click()
            found[section] = broken_rules(tab)
        tab.section("Devices")
        tab.press(re.compile("^Approve"))
        found["dialog"] = broken_rules(tab)

    assert {name: rules for name, rules in found.items() if rules} == {}


@pytest.mark.real("npm-axe", "nginx")
@pytest.mark.parametrize("scheme", [pytest.param(LIGHT, id="light"), pytest.param(DARK, id="dark")])
def test_every_screen_before_is_for_everybody(
    browser: Browser, gateway: Gateway, tmp_path: Path, scheme: Any
):
    with (
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as port,
        open_tab(browser, f"http://127.0.0.1:{port}/", **scheme) as tab,
    ):
        tab.open().title("This gateway asks for its token")
        missing = broken_rules(tab)
        tab.open("?token=wrong").title("That is not this gateway's token")
        wrong = broken_rules(tab)
        tab.open(f"?token={gateway.token}").title("Approve this browser")
        pairing = broken_rules(tab)

    assert (missing, wrong, pairing) == ([], [], [])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("phone-light", PHONE | LIGHT, id="phone"),
        pytest.param("phone-dark", PHONE | DARK, id="phone-dark"),
        pytest.param("wide-dark", WIDE | DARK, id="wide-dark"),
    ],
)
def test_nothing_is_wider_than_the_window(
    browser: Browser, gateway: Gateway, name: str, options: Any
):
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with open_tab(browser, url_of(gateway), **options) as tab:
        tab.open().title("This gateway asks for its token")
        tab.picture(f"{name}-token-missing")
        over = {"gate": tab.page.evaluate(too_wide)}
        enter(tab, gateway)
        for section in SECTIONS:
            settled(tab, section)
            for summary in tab.main.locator("summary").all()[:2]:
                summary.click()
            tab.picture(f"{name}-{section.lower()}")
            over[section] = tab.page.evaluate(too_wide)

    assert {where: pixels for where, pixels in over.items() if pixels > 0} == {}


@pytest.mark.parametrize("width", [360, 500, 640, 800, 1000])
def test_every_section_can_be_reached_at_every_width(
    browser: Browser, gateway: Gateway, width: int
):
    size = {"width": width, "height": 700}
    with open_tab(browser, url_of(gateway), viewport=size) as tab:
        enter(tab, gateway)
        links = tab.page.get_by_role("navigation").get_by_role("link")
        boxes = [one.bounding_box() for one in links.all()]

    assert [box for box in boxes if box is None or box["x"] + box["width"] > width] == []
    assert len(boxes) == len(SECTIONS)


def test_all_is_done_by_keyboard(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.open().title("This gateway asks for its token")
        _tab_to(tab, "secret")
        tab.page.keyboard.type(gateway.token)
        tab.page.keyboard.press("Enter")
        tab.title("Devices")
        assert tab.page.evaluate("document.activeElement.textContent") == "Devices"

        tab.open().title("Devices")
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        _tab_to_text(tab, "Nodes")
        tab.page.keyboard.press("Enter")
        tab.title("Nodes")
        assert tab.page.evaluate("document.activeElement.textContent") == "Nodes"

        tab.section("Devices")
        _tab_to_text(tab, "Approve")
        tab.page.keyboard.press("Enter")
        dialog = tab.page.get_by_role("dialog")
        dialog.wait_for()
        inside = "document.querySelector('dialog').contains(document.activeElement)"
        assert tab.page.evaluate(inside) is True
        tab.page.keyboard.press("Escape")
        dialog.wait_for(state="detached")


def _tab_to(tab: Tab, name: str) -> None:
    _tab_until(tab, f"document.activeElement.id === '{name}'")


def _tab_to_text(tab: Tab, words: str) -> None:
    _tab_until(tab, f"document.activeElement.textContent.startsWith('{words}')")


def _tab_until(tab: Tab, true: str) -> None:
    for _ in range(40):
        tab.page.keyboard.press("Tab")
        if tab.page.evaluate(true):
            return
    raise AssertionError(f"no number of tabs leads to where {true}")


def test_what_comes_later_moves_nothing_and_keeps_what_is_open(browser: Browser, gateway: Gateway):
    shift = """
      window.shifts = [];
      new PerformanceObserver((list) => {
        for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifts.push(one.value);
      }).observe({type: "layout-shift", buffered: true});
    """
    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.add_init_script(shift)
        enter(tab, gateway)
        tab.section("Connections")
        details = tab.main.locator("details").first
        details.locator("summary").click()
        tab.page.wait_for_timeout(3_500)  # it is drawn anew every 3 s

        assert details.get_attribute("open") is not None
        assert sum(tab.page.evaluate("window.shifts")) < 0.1  # "good", as browsers count it


def test_what_goes_takes_no_focus_from_what_stays(browser: Browser, tmp_path: Path):
    with (
        running_gateway(tmp_path / "home" / ".openclaw") as own,
        open_tab(browser, url_of(own)) as tab,
    ):
        enter(tab, own)
        older, newer = (knock(own.port, **stranger(own.token)).request_id for _ in range(2))
        button = tab.page.get_by_role("button", name=re.compile(f"^Reject .*{older}"))
        button.focus()
        assert own.openclaw("devices", "reject", newer).code == 0
        tab.main.get_by_text(newer).wait_for(state="detached")

        expect(button).to_be_focused()
        button.press("Enter")
        tab.page.get_by_role("dialog").get_by_role("button", name="Reject").press("Enter")
        button.wait_for(state="detached")
        expect(tab.page.get_by_role("heading", level=1)).to_be_focused()


def test_the_second_visit_asks_for_the_page_alone(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        enter(tab, gateway)
        first = tab.page.evaluate("performance.getEntriesByType('resource').length")
        tab.open().title("Devices")
        sent = tab.page.evaluate(
            "performance.getEntriesByType('resource').filter((one) => one.transferSize > 0).map((one) => one.name)"
        )

    assert first > 10
    assert sent == []


@pytest.mark.real("nginx")
@pytest.mark.parametrize("passed_on", [True, False], ids=["prefix-passed-on", "prefix-stripped"])
def test_it_works_behind_nginx_with_tls_and_a_prefix(
    browser: Browser, tmp_path: Path, passed_on: bool
):
    pair = a_pair(tmp_path, names=("127.0.0.1",))
    state_dir = tmp_path / "home" / ".openclaw"
    ui: dict[str, object] = {"basePath": "/claw"} if passed_on else {}
    written(state_dir, controlUi=ui, trustedProxies=["127.0.0.1"])
    with running_gateway(state_dir) as gateway:
        there = f"http://127.0.0.1:{gateway.port}{'' if passed_on else '/'}"
        lines = "proxy_set_header Host $host:$server_port; proxy_set_header X-Forwarded-For $remote_addr;"
        server = f"""ssl_certificate {pair.cert}; ssl_certificate_key {pair.key};
          location /claw/ {{
            proxy_pass {there}; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; {lines}
          }}"""
        with (
            running_nginx(tmp_path / "nginx", gateway.port, server=server) as port,
            open_tab(browser, f"https://127.0.0.1:{port}/claw/", ignore_https_errors=True) as tab,
        ):
            tab.open(f"#token={TOKEN}").title("Approve this browser")
            assert "not local: a trusted proxy forwarded it" in tab.text()
            assert gateway.openclaw("devices", "approve", tab.code()).code == 0
            tab.title("Devices")
            for section in SECTIONS:
                settled(tab, section)
            outside = [one for one in tab.asked if "/claw/" not in one]

    assert outside == []


def test_a_browser_without_ed25519_of_its_own_gets_in(browser: Browser, gateway: Gateway):
    script = """
      const known = crypto.subtle.generateKey.bind(crypto.subtle);
      crypto.subtle.generateKey = async (kind, ...rest) => {
        if (kind === "Ed25519") throw new DOMException("Unrecognized name.", "NotSupportedError");
        return known(kind, ...rest);
      };
    """
    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.add_init_script(script)
        enter(tab, gateway)
        tab.open().title("Devices")

        assert any(one.endswith("/vendor/ed25519.js") for one in tab.asked)
