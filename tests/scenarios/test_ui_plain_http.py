"""S6, S22 in a real browser: plain HTTP from another machine, and the port that a container publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.browser import open_tab, running_browser
from tests.scenarios.namespaces import BOX_ADDRESS, container_network
from tests.scenarios.programs import eventually, openclaw, running_gateway
from tests.scenarios.test_s06_docker_nat import TOKEN as SHARED
from tests.scenarios.test_s06_docker_nat import publishing
from tests.scenarios.test_s29_live_edits import TOKEN, written

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium", "namespaces")]


def test_plain_http_from_elsewhere_explains_first_and_connects_only_when_allowed(tmp_path: Path):
    port = 18789
    state_dir = tmp_path / "home" / ".openclaw"
    written(state_dir, bind="lan", port=port)
    with (
        container_network() as (host, box),
        running_gateway(state_dir, port=port, inside=box.words) as gateway,
        running_browser(tmp_path, inside=host.words) as browser,
        open_tab(browser, f"http://{BOX_ADDRESS}:{port}/") as tab,
    ):
        tab.open(f"#token={TOKEN}").title("This browser cannot make a device key here")
        assert f"ssh -N -L {port}:127.0.0.1:{port} USER@{BOX_ADDRESS}" in tab.text()
        assert "HTTPS" in tab.text()
        assert "token" not in tab.page.url
        assert [one for one in tab.asked if one.startswith("ws")] == []
        tab.picture("plain-http")

        key = "gateway.controlUi.allowPlainHttp"
        done = openclaw(state_dir, "config", "set", key, "true", port=port, inside=box.words)
        assert done.code == 0, done.err
        eventually(lambda: "allowPlainHttp" in gateway.said_by_now())
        tab.open(f"?token={TOKEN}").title("Approve this browser")
        tab.page.get_by_text("Not encrypted.").wait_for()
        words = ("devices", "approve", tab.code())
        assert openclaw(state_dir, *words, port=port, inside=box.words).code == 0
        tab.title("Devices")
        tab.page.get_by_text("Not encrypted.").wait_for()
        tab.picture("plain-http-inside")
        tab.page.reload()
        tab.title("Devices")


def test_a_published_port_lets_the_hosts_browser_in_by_the_rule_and_says_so(tmp_path: Path):
    rule = ("--auto-approve", "published-port")
    with (
        publishing(tmp_path, (), *rule) as published,
        running_browser(tmp_path, inside=published.host.words) as browser,
        open_tab(browser, f"http://127.0.0.1:{published.gateway.port}/") as tab,
    ):
        tab.open(f"#token={SHARED}").title("Devices")
        tab.main.get_by_role("listitem").filter(has_text="this browser").wait_for()
        tab.main.get_by_text("Details").first.click()

        assert "by the rule for published ports" in tab.text()
        assert "Ask for more" in tab.text() or "More rights wait" in tab.text()
        tab.picture("published-port")


def test_without_the_rule_the_page_says_how_to_go_into_the_container(tmp_path: Path):
    with (
        publishing(tmp_path, ()) as published,
        running_browser(tmp_path, inside=published.host.words) as browser,
        open_tab(browser, f"http://127.0.0.1:{published.gateway.port}/") as tab,
    ):
        tab.open(f"#token={SHARED}").title("Approve this browser")
        assert "172.18.0.1" in tab.text()
        assert "inside its container" in tab.text()
        assert "openclaw gateway run --auto-approve published-port" in tab.text()
        tab.picture("docker-nat")
        assert published.in_box("devices", "approve", tab.code()).code == 0

        tab.title("Devices")
