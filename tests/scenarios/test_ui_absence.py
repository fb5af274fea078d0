"""The Control UI of somebody who is away, far away, or about to leave, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog

from tests.scenarios.browser import DOWN, inside, open_tab, url_of
from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import Gateway, eventually, free_port, running_gateway

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium")]

#: A phone at the edge of its net: bytes a second, and ms until the first of them comes.
FAR_AWAY = {
    "offline": False,
    "latency": 600,
    "downloadThroughput": 40_000,
    "uploadThroughput": 20_000,
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "home" / ".openclaw") as running:
        yield running


def test_changes_that_are_not_saved_are_asked_about_before_the_page_is_left(
    browser: Browser, gateway: Gateway
):
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    with inside(browser, gateway, "Config") as tab:
        tab.page.on("dialog", stay)
        tab.page.get_by_label("logging.level").select_option("debug")
        tab.main.get_by_text("1 change is not saved").wait_for()
        tab.page.get_by_label("gateway.port").click()  # a browser asks only who did something

        tab.page.close(run_before_unload=True)
        eventually(lambda: tab.moment() and asked)
        assert asked == ["beforeunload"]
        assert tab.page.get_by_label("logging.level").input_value() == "debug"

        tab.section("Logs")
        tab.section("Config")
        tab.main.get_by_text("1 change is not saved").wait_for()
        tab.press("Compare and save")
        tab.confirm("Save")
        tab.main.get_by_text(re.compile("^Saved")).wait_for()
        tab.page.reload()
        tab.title("Config")

    assert asked == ["beforeunload"]
    assert gateway.openclaw("config", "get", "logging.level").out.strip() == "debug"


def test_who_is_far_away_gets_in_and_sees_what_happens(browser: Browser, gateway: Gateway):
    with open_tab(browser, url_of(gateway)) as tab:
        tab.page.context.new_cdp_session(tab.page).send(
            "Network.emulateNetworkConditions", FAR_AWAY
        )
        tab.open(f"#token={gateway.token}").title("Devices")
        tab.page.get_by_role("heading", name=re.compile("^Paired")).wait_for()

        code = knock(gateway.port, **stranger(gateway.token)).request_id
        tab.page.get_by_role("listitem").filter(has_text=code).wait_for()


def test_a_computer_that_slept_while_the_gateway_was_restarted_comes_back(
    browser: Browser, tmp_path: Path
):
    state_dir, port = tmp_path / "home" / ".openclaw", free_port()
    with open_tab(browser, f"http://127.0.0.1:{port}/", expected=DOWN) as tab:
        session = tab.page.context.new_cdp_session(tab.page)
        with running_gateway(state_dir, port=port) as gateway:
            tab.open(f"#token={gateway.token}").title("Devices")
            session.send("Page.setWebLifecycleState", {"state": "frozen"})
        with running_gateway(state_dir, port=port) as gateway:
            code = knock(gateway.port, **stranger(gateway.token)).request_id
            session.send("Page.setWebLifecycleState", {"state": "active"})

            tab.page.get_by_role("listitem").filter(has_text=code).wait_for()
            assert "reconnecting" not in tab.text()


def test_who_lost_a_right_meanwhile_is_shown_what_is_left(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Config") as tab:
        (device_id,) = gateway.kept("paired.json")
        words = ("--role", "operator", "--scope", "operator.read", "--yes")
        assert gateway.openclaw("devices", "rotate", device_id, *words).code == 0
        tab.title("This browser's access ended")
        gateway.openclaw("devices", "remove", device_id, "--yes")

        guest = ("--role", "operator", "--scopes", "operator.read", "--json")
        here = ("--public-url", f"ws://127.0.0.1:{gateway.port}")
        tab.page.get_by_label(re.compile("Token or password")).fill(
            gateway.openclaw("devices", "invite", *guest, *here).json["url"]
        )
        tab.press("Connect")

        tab.title("Config")
        tab.main.get_by_text("Changing it needs admin.").wait_for()
        assert tab.page.get_by_label("logging.level").is_disabled()
        tab.picture("config-as-a-guest")
