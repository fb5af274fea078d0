"""The other sections of the Control UI, in a real browser: what they show, and what is done there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.scenarios.browser import DOWN, inside, open_tab, url_of
from tests.scenarios.clients import knock, stranger
from tests.scenarios.programs import Gateway, eventually, free_port, running_gateway
from tests.scenarios.test_nodes import npm_node

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium")]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "home" / ".openclaw") as running:
        yield running


def test_connections_say_who_why_and_how_much(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Connections") as tab:
        item = tab.page.get_by_role("listitem").filter(has_text="this page")
        item.wait_for()
        assert re.search(r"\d+ requests?, [\d.]+ (B|KiB) in, [\d.]+ (B|KiB) out", item.inner_text())
        item.get_by_text("Why, and how").click()
        assert "local: it comes from the gateway's own machine" in item.inner_text()
        assert f"http://127.0.0.1:{gateway.port}" in item.inner_text()


def test_who_was_turned_away_is_shown_with_the_command_that_helps(
    browser: Browser, gateway: Gateway
):
    code = knock(gateway.port, **stranger(gateway.token)).request_id
    knock(gateway.port, **stranger("wrong"))
    with inside(browser, gateway, "Connections") as tab:
        item = tab.page.get_by_role("listitem").filter(has_text=code)
        item.get_by_text("What it saw, and what helps").click()
        assert f"devices approve {code}" in item.inner_text()
        assert "203.0.113.9" in item.inner_text()
        tab.main.get_by_text("AUTH_TOKEN_MISMATCH").first.wait_for()
        tab.picture("connections")


def test_a_blocked_stranger_is_let_knock_again(browser: Browser, gateway: Gateway):
    words = stranger(gateway.token)
    knock(gateway.port, **words)
    device_id = words["key"].device_id
    assert gateway.openclaw("devices", "block", device_id, "--yes").code == 0
    knock(gateway.port, **words)
    with inside(browser, gateway, "Connections") as tab:
        item = tab.page.get_by_role("listitem").filter(has_text="this device is blocked")
        item.get_by_text("What it saw, and what helps").click()
        tab.press(f"Unblock {device_id}")
        tab.confirm("Unblock")

    assert knock(gateway.port, **words).request_id


def test_a_section_opens_while_the_gateway_is_gone(browser: Browser, tmp_path: Path):
    with ExitStack() as stack:
        with running_gateway(tmp_path / "home" / ".openclaw") as gateway:
            tab = stack.enter_context(inside(browser, gateway, expected=DOWN))
            eventually(lambda: tab.moment() and any("/logs.js" in one for one in tab.asked))
        tab.page.get_by_text("The gateway does not answer.").wait_for()
        tab.section("Health")

        assert "could not be loaded" not in tab.text()


def test_a_lockout_is_seen_and_lifted(browser: Browser, gateway: Gateway):
    words = stranger("wrong") | {"source": "127.0.0.1"}
    for _ in range(11):
        knock(gateway.port, **words)
    with inside(browser, gateway, "Connections") as tab:
        tab.page.get_by_role("heading", name="Locked out (1)").wait_for()
        tab.picture("lockout")
        tab.press(re.compile("^Lift the lockout"))
        tab.confirm("Lift")
        tab.page.get_by_role("heading", name="Locked out (1)").wait_for(state="detached")
    assert gateway.openclaw("gateway", "lockouts", "list", "--json").json["lockouts"] == []


@pytest.mark.real("node", "npm-client")
def test_a_node_is_approved_and_invoked(browser: Browser, gateway: Gateway, tmp_path: Path):
    with (
        inside(browser, gateway, "Nodes") as tab,
        npm_node(tmp_path / "kitchen", gateway.port, gateway.token) as node,
    ):
        tab.page.get_by_role("heading", name="Commands that wait for approval").wait_for()
        tab.picture("nodes-waiting")
        assert node.seen("hello")
        tab.press("Approve the commands of kitchen")
        tab.confirm("Approve")

        tab.page.get_by_label("Command", exact=True).select_option("system.which")
        tab.page.get_by_label("Parameters, as JSON").fill('{"bins": ["sh"]}')
        tab.press("Invoke")
        tab.main.get_by_text(re.compile("system.which answered in")).wait_for()
        assert json.loads(tab.page.locator("pre.result").inner_text())["asked"] == {"bins": ["sh"]}
        tab.picture("nodes")

        tab.page.get_by_label("Parameters, as JSON").fill("{")
        tab.press("Invoke")
        tab.main.get_by_text("The parameters are no JSON").wait_for()


def test_health_shows_what_is_wrong_and_when_it_is_mended(browser: Browser, gateway: Gateway):
    file = gateway.state_dir / "openclaw.json"
    good = file.read_text()
    with inside(browser, gateway, "Health") as tab:
        tab.main.get_by_text("Ready.").wait_for()
        tab.page.wait_for_timeout(4500)
        tab.picture("health")

        file.write_text("{ gateway: {")
        tab.main.get_by_text("Not ready:").wait_for()
        assert "openclaw.json" in tab.text()
        tab.picture("health-not-ready")

        file.write_text(good)
        tab.main.get_by_text("Ready.", exact=True).wait_for()


def test_health_draws_who_is_turned_away_by_reason_over_time(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Health") as tab:
        tab.main.get_by_text("Nobody was turned away since the start.").wait_for()
        for _ in range(3):
            knock(gateway.port, **stranger("a-wrong-token"))
        chart = tab.page.get_by_role("img", name=re.compile("^AUTH_TOKEN_MISMATCH, a second"))
        expect(chart).to_have_attribute("aria-label", re.compile("at most [1-9]"))
        expect(chart).to_have_attribute("aria-label", re.compile("a second: 0, at most [1-9]"))
        assert "3 since the start" in tab.text()
        knock(gateway.port, **stranger(gateway.token))
        tab.page.get_by_role("img", name=re.compile("^PAIRING_REQUIRED, a second")).wait_for()
        tab.picture("health-turned-away")


def test_a_key_is_changed_compared_and_in_force(browser: Browser, tmp_path: Path):
    state_dir, port = tmp_path / ".openclaw", free_port()
    state_dir.mkdir(mode=0o700)
    file = state_dir / "openclaw.json"
    file.write_text(f"""// Configuration of the OpenClaw gateway.
        {{"gateway": {{"port": {port}, "auth": {{"token": "the-token-of-this-gateway"}}}}}}""")
    with (
        running_gateway(state_dir, port=port, pinned=False) as gateway,
        inside(browser, gateway, "Config") as tab,
    ):
        tab.page.get_by_label("logging.level").select_option("debug")
        tab.page.get_by_label("gateway.port").fill("18790")
        tab.main.get_by_text("2 changes are not saved").wait_for()
        tab.press("Compare and save")
        dialog = tab.page.get_by_role("dialog")
        assert "gateway.port after a restart" in dialog.inner_text().replace("\n", " ")
        assert "(unset)" in dialog.inner_text()
        tab.picture("config-compare")
        tab.confirm("Save")
        tab.main.get_by_text("Saved. After a restart: gateway.port.").wait_for()
        tab.picture("config")
        tab.section("Health")
        tab.main.get_by_text("Waits for a restart:").wait_for()

    text = (gateway.state_dir / "openclaw.json").read_text()
    assert "// Configuration of the OpenClaw gateway." in text
    assert gateway.openclaw("config", "get", "logging.level").out.strip() == "debug"


def test_commands_inside_are_those_of_the_container(browser: Browser, tmp_path: Path):
    env = {"OPENCLAW_REMEDY_PREFIX": "docker compose exec openclaw-gateway"}
    with (
        running_gateway(tmp_path / ".openclaw", env=env) as gateway,
        inside(browser, gateway, "Config") as tab,
    ):
        tab.page.get_by_label("gateway.bind", exact=True).select_option("lan")
        tab.press("Compare and save")
        dialog = tab.page.get_by_role("dialog")
        dialog.get_by_text("On the machine that runs the gateway's container:").wait_for()
        restart = "docker compose exec openclaw-gateway openclaw gateway restart"
        dialog.get_by_text(restart, exact=True).wait_for()
        tab.confirm("Save")
        tab.section("Health")
        tab.main.get_by_text(restart, exact=True).wait_for()
        (gateway.state_dir / "openclaw.json").write_text("{broken")
        spelt = "docker compose exec openclaw-gateway openclaw config rollback"
        tab.main.get_by_text(spelt).first.wait_for()
        tab.picture("health-container")


def test_a_key_that_an_option_goes_before_is_not_said_to_wait(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Config") as tab:
        tab.main.get_by_text("Counts from a start without --port.").wait_for()
        tab.page.get_by_label("gateway.port").fill("18790")
        tab.press("Compare and save")
        dialog = tab.page.get_by_role("dialog").inner_text().replace("\n", " ")
        assert "gateway.port from a start without --port" in dialog
        assert "gateway restart" not in dialog
        tab.confirm("Save")
        tab.main.get_by_text("started with --port, which goes before gateway.port").wait_for()
        tab.picture("config-option")
        tab.section("Health")
        tab.page.get_by_role("heading", name="In force").wait_for()
        assert "Waits for a restart" not in tab.text()


def test_what_somebody_else_changed_meanwhile_is_not_written_over(
    browser: Browser, gateway: Gateway
):
    with inside(browser, gateway, "Config") as tab:
        tab.page.get_by_label("logging.level").select_option("debug")
        tab.press("Compare and save")
        # In the moment between the look and the save.
        assert gateway.openclaw("config", "set", "logging.level", "error").code == 0
        tab.page.get_by_role("dialog").get_by_role("button", name="Save").click()
        tab.page.get_by_role("dialog").get_by_text("changed by somebody else").wait_for()
        tab.picture("config-conflict")
        tab.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()

        tab.main.get_by_text("Changed on file meanwhile: error").wait_for()
        assert gateway.openclaw("config", "get", "logging.level").out.strip() == "error"
        tab.press("Compare and save")
        tab.confirm("Save")
    assert gateway.openclaw("config", "get", "logging.level").out.strip() == "debug"


def test_a_value_that_cannot_be_is_refused_at_its_key(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Config") as tab:
        tab.page.get_by_label("gateway.trustedProxies").fill("not-an-address")
        tab.press("Compare and save")
        tab.page.get_by_role("dialog").get_by_role("button", name="Save").click()
        tab.page.get_by_role("dialog").get_by_role("alert").wait_for()
        tab.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()

        field = tab.page.get_by_label("gateway.trustedProxies")
        assert field.get_attribute("aria-invalid") == "true"
        assert field.input_value() == "not-an-address"
        tab.press("Undo this change")
        assert tab.page.get_by_label("gateway.trustedProxies").input_value() == ""


def test_no_secret_is_on_the_page_of_the_configuration(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Config") as tab:
        field = tab.page.get_by_label("gateway.auth.token", exact=True)
        field.wait_for()
        assert field.get_attribute("placeholder") == "set; type to replace it"
        tab.main.get_by_text("The file as it is, without its secrets").click()
        assert gateway.token not in tab.page.content()


def test_a_secret_is_replaced_and_taken_out_in_a_toml_file(browser: Browser, tmp_path: Path):
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    file = state_dir / "openclaw.toml"
    file.write_text(
        '# of my own\n[gateway.auth]\nmode = "token"\ntoken = "first-of-all"\npassword = "old"\n'
    )
    file.chmod(0o600)
    with running_gateway(state_dir) as gateway, inside(browser, gateway, "Config") as tab:
        password = tab.page.get_by_label("gateway.auth.password", exact=True)
        tab.page.get_by_label("gateway.auth.token", exact=True).fill("another-one")
        tab.press("Take out of the file: gateway.auth.password")
        assert password.get_attribute("placeholder") == "taken out when it is saved"
        tab.press("Compare and save")
        shown = tab.page.get_by_role("dialog").inner_text()
        tab.confirm("Save")
        tab.main.get_by_text(re.compile("^Saved")).wait_for()
        expect(password).to_have_attribute("placeholder", "not set")
        tab.title("Config")  # who came in by a device token stays

    assert "another-one" not in shown
    text = file.read_text()
    assert "# of my own" in text
    assert 'token = "another-one"' in text
    assert "password" not in text


def test_a_secret_by_reference_is_told_and_what_cannot_be_written_says_why(
    browser: Browser, tmp_path: Path
):
    state_dir = tmp_path / "home" / ".openclaw"
    state_dir.mkdir(parents=True, mode=0o700)
    file = state_dir / "openclaw.json"
    file.write_text('{gateway: {auth: {token: "${MY_TOKEN}"}}}')
    file.chmod(0o600)
    with (
        running_gateway(state_dir, env={"MY_TOKEN": "of-the-environment"}) as gateway,
        open_tab(browser, url_of(gateway)) as tab,
    ):
        tab.open("#token=of-the-environment").title("Devices")
        tab.section("Config")
        token = tab.page.get_by_label("gateway.auth.token", exact=True)
        assert token.get_attribute("placeholder") == "set by ${MY_TOKEN}; type to replace it"
        token.fill("${OTHER_TOKEN}")
        tab.page.get_by_label("logging.level").select_option("debug")
        tab.press("Compare and save")
        dialog = tab.page.get_by_role("dialog")
        assert "${MY_TOKEN}" in dialog.inner_text()
        assert "${OTHER_TOKEN}" in dialog.inner_text()
        dialog.get_by_role("button", name="Cancel").click()
        tab.press("Undo this change")

        held = file.with_name("config.lock")
        held.unlink(missing_ok=True)
        held.mkdir()
        tab.press("Compare and save")
        dialog.get_by_role("button", name="Save").click()
        dialog.get_by_role("alert").get_by_text("config.lock").wait_for()
        tab.picture("config-not-written")
        dialog.get_by_role("button", name="Cancel").click()


def test_what_is_looked_for_is_still_there_on_coming_back(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Config") as tab:
        tab.page.get_by_label("Find a key").fill("handshakeTimeout")
        expect(tab.main.locator(".setting")).to_have_count(1)
        tab.section("Health")
        tab.section("Config")

        assert tab.page.get_by_label("Find a key").input_value() == "handshakeTimeout"
        expect(tab.main.locator(".setting")).to_have_count(1)


def test_the_log_goes_on_in_the_file_of_a_new_day(browser: Browser, gateway: Gateway):
    (today,) = (gateway.state_dir / "logs").glob("gateway-*.jsonl")
    with inside(browser, gateway, "Logs") as tab:
        log = tab.page.get_by_role("log")
        log.get_by_text("device pairing auto-approved").first.wait_for()
        # Longer than the one before: only its name tells that it is another file.
        later = [
            json.dumps({"time": "2099-01-02T00:00:00.000Z", "level": "info", "message": message})
            for message in ("first of the day", *["filler"] * 400, "last of the day")
        ]
        today.with_name("gateway-2099-01-02.jsonl").write_text("\n".join(later) + "\n")
        log.get_by_text("last of the day").wait_for()

        shown = log.inner_text()
        assert "A new file begins" in shown
        assert "first of the day" in shown
        assert "device pairing auto-approved" in shown
        assert "2099" in shown
        tab.main.get_by_text("gateway-2099-01-02.jsonl").wait_for()
        tab.picture("logs-new-day")


def test_the_log_runs_and_is_filtered(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Logs") as tab:
        log = tab.page.get_by_role("log")
        log.get_by_text("device pairing auto-approved").first.wait_for()
        knock(gateway.port, **stranger(gateway.token))
        log.get_by_text("pairing required").first.wait_for()
        tab.picture("logs")

        tab.page.get_by_label("Only lines with this text").fill("pairing required")
        expect(log.get_by_text("listening on")).to_have_count(0)
        tab.page.get_by_label("Only lines with this text").fill("")
        tab.page.get_by_label("Least severe level").select_option("error")
        log.get_by_text("No line is of that level").wait_for()


def test_a_restart_from_the_page_brings_the_page_back(browser: Browser, gateway: Gateway):
    with inside(browser, gateway, "Health", expected=DOWN) as tab:
        tab.press("Restart the gateway")
        tab.confirm("Restart")
        tab.main.get_by_text(re.compile(r"^Up for")).wait_for()
        eventually(lambda: tab.moment() and "reconnecting" not in tab.text())
        tab.main.get_by_text("Ready.").wait_for()
