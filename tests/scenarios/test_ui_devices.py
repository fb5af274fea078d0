"""Devices in the Control UI, in a real browser: every decision, and what others' decisions do to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.scenarios.browser import Tab, inside, open_tab
from tests.scenarios.clients import knock, new_key, stranger
from tests.scenarios.programs import FORWARDS, Gateway, eventually, running_gateway, running_nginx

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium")]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "home" / ".openclaw") as running:
        yield running


@pytest.fixture
def owner(browser: Browser, gateway: Gateway) -> Iterator[Tab]:
    with inside(browser, gateway) as tab:
        yield tab


def own_id(tab: Tab) -> str:
    """The device id of a page's browser."""
    item = tab.page.get_by_role("listitem").filter(has_text="this browser")
    item.get_by_text("Details").click()
    found = re.search(r"[0-9a-f]{64}", item.inner_text())
    item.get_by_text("Details").click()
    assert found is not None
    return found[0]


def test_who_knocks_appears_at_once_and_is_approved(owner: Tab, gateway: Gateway):
    words = stranger(gateway.token)
    code = knock(gateway.port, **words).request_id
    card = owner.page.get_by_role("listitem").filter(has_text=code)
    card.wait_for()
    assert "read" in card.inner_text()
    assert "a proxy that the gateway does not trust" in card.inner_text()
    expect(owner.page).to_have_title(re.compile(r"^\(1\) Devices"))
    owner.picture("devices-pending")

    owner.press(re.compile(rf"^Approve .*{code}"))
    assert code in owner.page.get_by_role("dialog").inner_text()
    owner.picture("devices-approve")
    owner.confirm("Approve")

    card.wait_for(state="detached")
    assert knock(gateway.port, **words).admitted
    (line,) = [one for one in gateway.audit("device.approved") if one["requestId"] == code]
    assert line["via"] == "ws"
    assert line["by"]["deviceId"] == own_id(owner)


def test_who_is_rejected_goes_and_who_is_blocked_stays_out(owner: Tab, gateway: Gateway):
    rejected, blocked = stranger(gateway.token), stranger(gateway.token)
    codes = [knock(gateway.port, **words).request_id for words in (rejected, blocked)]
    for code, verb in zip(codes, ("Reject", "Block"), strict=True):
        card = owner.page.get_by_role("listitem").filter(has_text=code)
        card.get_by_role("button", name=re.compile(f"^{verb}")).click()
        owner.confirm(verb)
        card.wait_for(state="detached")

    assert gateway.kept("pending.json") == {}
    assert knock(gateway.port, **rejected).request_id == codes[0]
    assert knock(gateway.port, **blocked).details["reason"] == "blocked"


def test_of_two_browsers_that_approve_at_once_one_does_and_the_other_is_told(
    browser: Browser, gateway: Gateway
):
    with ExitStack() as stack:
        tabs = [stack.enter_context(inside(browser, gateway)) for _ in range(2)]
        code = knock(gateway.port, **stranger(gateway.token)).request_id
        for tab in tabs:
            tab.press(re.compile(rf"^Approve .*{code}"))
        buttons = [
            tab.page.get_by_role("dialog").get_by_role("button", name="Approve") for tab in tabs
        ]
        for button in buttons:
            button.click(no_wait_after=True)
        dialogs = [tab.page.get_by_role("dialog") for tab in tabs]
        eventually(
            lambda: tabs[0].moment() and sorted(dialog.count() for dialog in dialogs) == [0, 1]
        )
        (loser,) = [dialog for dialog in dialogs if dialog.count()]
        alert = loser.get_by_role("alert")
        alert.wait_for()
        assert code in alert.inner_text() or "requestId" in alert.inner_text()
        loser.get_by_role("button", name="Cancel").click()

        for tab in tabs:
            tab.main.get_by_text("Nobody waits.").wait_for()
    assert len(gateway.audit("device.approved")) >= 1
    assert [one["requestId"] for one in gateway.audit("device.approved")].count(code) == 1


def test_what_is_revoked_ends_the_other_tab(browser: Browser, gateway: Gateway):
    with inside(browser, gateway) as owner, inside(browser, gateway) as other:
        device_id = own_id(other)
        item = owner.page.get_by_role("listitem").filter(has_text=device_id)
        item.get_by_text("Details").click()
        item.get_by_role("button", name=re.compile("^Revoke the operator token")).click()
        owner.confirm("Revoke")

        other.title("This browser's access ended")
        other.picture("revoked")
        assert "openclaw dashboard" in other.text()
        other.page.reload()
        other.title("This gateway asks for its token")
        owner.title("Devices")


def test_a_browser_that_rotates_its_own_token_stays_in(owner: Tab, gateway: Gateway):
    device_id = own_id(owner)
    before = gateway.kept("paired.json")[device_id]["tokens"]["operator"]["token"]
    item = owner.page.get_by_role("listitem").filter(has_text="this browser")
    item.get_by_text("Details").click()
    item.get_by_role("button", name=re.compile("^Rotate the operator token")).click()
    owner.confirm("Rotate")

    owner.page.reload()
    owner.title("Devices")
    assert gateway.kept("paired.json")[device_id]["tokens"]["operator"]["token"] != before


def test_a_device_is_renamed_and_removed(owner: Tab, gateway: Gateway):
    words = stranger(gateway.token)
    code = knock(gateway.port, **words).request_id
    assert gateway.openclaw("devices", "approve", code).code == 0
    device_id = words["key"].device_id
    item = owner.page.get_by_role("listitem").filter(has_text=device_id)
    item.get_by_role("button", name=re.compile("^Rename")).click()
    owner.page.get_by_label("Name for operators").fill("the kitchen")
    owner.confirm("Rename")
    owner.main.get_by_text("the kitchen", exact=True).wait_for()
    assert gateway.kept("notes.json")[device_id]["label"] == "the kitchen"

    owner.press("Remove the kitchen")
    owner.confirm("Remove")
    owner.main.get_by_text("the kitchen", exact=True).wait_for(state="detached")
    assert device_id not in gateway.kept("paired.json")


def test_what_the_command_line_decides_shows_without_a_reload(owner: Tab, gateway: Gateway):
    words = stranger(gateway.token)
    code = knock(gateway.port, **words).request_id
    owner.page.get_by_role("listitem").filter(has_text=code).wait_for()

    assert gateway.openclaw("devices", "approve", code, "--offline").code == 0

    owner.page.get_by_role("listitem").filter(has_text=words["key"].device_id).wait_for()
    owner.main.get_by_text("Nobody waits.").wait_for()


def test_names_that_devices_give_themselves_stay_words(owner: Tab, gateway: Gateway):
    evil = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
    code = knock(gateway.port, **stranger(gateway.token, platform=evil)).request_id
    card = owner.page.get_by_role("listitem").filter(has_text=code)
    card.wait_for()

    assert "<img src=x onerror=alert(1)>" in card.inner_text()
    assert card.locator("img").count() == 0

    file = gateway.devices / "pending.json"
    pending = json.loads(file.read_text())
    pending[code]["displayName"] = "\u202e?ti evorppA\x07 <b>phone</b>"
    file.write_text(json.dumps(pending))
    eventually(lambda: "evorppA" in gateway.openclaw("devices", "list", "--json").out)
    owner.page.reload()
    card.get_by_text("?ti evorppA <b>phone</b>", exact=True).wait_for()
    owner.press(re.compile(f"^Approve .*{code}"))
    dialog = owner.page.get_by_role("dialog")
    assert "Approve ?ti evorppA <b>phone</b>?" in dialog.inner_text()
    assert "\u202e" not in dialog.inner_text()


def test_what_was_superseded_meanwhile_is_not_approved(owner: Tab, gateway: Gateway):
    words = stranger(gateway.token)
    asked = knock(gateway.port, **words).request_id
    owner.press(re.compile(f"^Approve .*{asked}"))
    more = ("operator.read", "operator.admin")
    now = knock(gateway.port, **(words | {"scopes": more})).request_id
    assert now != asked
    dialog = owner.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Approve").click()

    alert = dialog.get_by_role("alert")
    alert.wait_for()
    assert now in alert.inner_text()
    owner.picture("superseded")
    assert list(gateway.kept("pending.json")) == [now]
    dialog.get_by_role("button", name="Cancel").click()
    owner.page.get_by_role("listitem").filter(has_text=now).get_by_text("admin").wait_for()


def test_an_invitation_lets_another_browser_in(browser: Browser, owner: Tab, gateway: Gateway):
    owner.press("Invite a device")
    owner.page.get_by_label("What it becomes").select_option("operator-read")
    owner.page.get_by_role("dialog").get_by_role("button", name="Make the invitation").click()
    shown = owner.page.get_by_role("dialog", name="The invitation")
    shown.get_by_alt_text("The setup code as a QR code").wait_for()
    owner.picture("invitation")
    link = shown.locator("pre").nth(1).inner_text()
    shown.get_by_role("button", name="Close").click()
    owner.page.get_by_role("heading", name="Invitations that still count (1)").wait_for()

    with open_tab(browser, f"http://127.0.0.1:{gateway.port}/") as guest:
        guest.page.goto(link)
        guest.title("Devices")
        assert "Ask for more" in guest.text()
        guest.section("Health")
        guest.main.get_by_text("Ready.").wait_for()
    heading = owner.page.get_by_role("heading", name=re.compile("^Invitations that still count"))
    heading.wait_for(state="detached")  # it counted once


def test_an_invitation_is_taken_back(browser: Browser, owner: Tab, gateway: Gateway):
    assert gateway.openclaw("devices", "invite", "--role", "node").code == 0
    owner.press(re.compile("^Take back the invitation"))
    owner.picture("invitations")
    owner.confirm("Take back")

    owner.page.get_by_role("heading", name=re.compile("^Invitations that")).wait_for(
        state="detached"
    )
    assert gateway.openclaw("devices", "invite", "--list", "--json").json["invitations"] == []


def test_thousands_of_devices_are_listed_in_parts_and_all_are_found(
    browser: Browser, tmp_path: Path
):
    state_dir = tmp_path / "home" / ".openclaw"
    with running_gateway(state_dir) as first, inside(browser, first):
        (record,) = first.kept("paired.json").values()
    many = {}
    for number in range(5_000):
        key = new_key()
        many[key.device_id] = record | {
            "deviceId": key.device_id,
            "publicKey": key.public_key,
            "displayName": f"device {number}",
        }
    (state_dir / "devices" / "paired.json").write_text(json.dumps(many))

    with running_gateway(state_dir) as gateway, inside(browser, gateway) as tab:
        tab.page.get_by_role("heading", name="Paired (5001)").wait_for()
        assert tab.main.get_by_role("listitem").count() == 100
        assert tab.main.get_by_text("this browser", exact=True).is_visible()
        tab.press("Show more: 4901 are left")
        expect(tab.main.get_by_role("listitem")).to_have_count(200)

        tab.page.get_by_label("Find a device").fill("device 4321")
        expect(tab.main.get_by_role("listitem")).to_have_count(1)


def test_a_question_ends_with_the_access_it_was_asked_with(browser: Browser, gateway: Gateway):
    with inside(browser, gateway) as tab:
        device_id = own_id(tab)
        tab.press("Invite a device")
        tab.page.get_by_role("dialog").wait_for()
        assert (
            gateway.openclaw("devices", "revoke", device_id, "--role", "operator", "--yes").code
            == 0
        )

        tab.title("This browser's access ended")
        assert tab.page.get_by_role("dialog").count() == 0


def test_commands_in_a_dialog_are_copied_where_there_is_no_clipboard(
    browser: Browser, gateway: Gateway
):
    with inside(browser, gateway, "Config") as tab:
        tab.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        tab.page.evaluate(
            "addEventListener('copy', () => { window.taken = getSelection().toString(); })"
        )
        tab.page.get_by_label("gateway.bind", exact=True).select_option("lan")
        tab.press("Compare and save")
        button = tab.page.get_by_role("dialog").get_by_role("button", name=re.compile("^Copy"))
        button.click()

        expect(button).to_have_text("Copied")
        expect(button).to_be_focused()
        here = f"OPENCLAW_STATE_DIR={gateway.state_dir} OPENCLAW_GATEWAY_PORT={gateway.port}"
        assert tab.page.evaluate("window.taken") == f"{here} openclaw gateway restart"


@pytest.mark.real("nginx")
def test_a_guest_asks_for_more_and_gets_it_without_a_reload(
    browser: Browser, gateway: Gateway, tmp_path: Path
):
    words = ("devices", "invite", "--role", "operator", "--scopes", "operator.read", "--json")
    link = gateway.openclaw(*words, "--public-url", f"ws://127.0.0.1:{gateway.port}").json["url"]
    with (
        running_nginx(tmp_path / "nginx", gateway.port, *FORWARDS) as port,
        open_tab(browser, f"http://127.0.0.1:{port}/") as tab,
    ):
        tab.open(f"#{link.partition('#')[2]}").title("Devices")
        assert "Devices needs pairing" in tab.text()
        tab.picture("no-scope")
        tab.page.evaluate("window.sameDocument = true")
        tab.press("Ask for more")
        command = tab.page.get_by_text(re.compile(r"openclaw devices approve \w{4}-\w{4}"))
        command.first.wait_for()
        tab.picture("asked-for-more")
        code = command.first.inner_text().rpartition(" ")[2]

        sockets = [one for one in tab.asked if one.startswith("ws")]
        assert gateway.openclaw("devices", "approve", code).code == 0
        tab.page.get_by_role("heading", name=re.compile("^Paired")).wait_for()
        assert tab.page.evaluate("window.sameDocument") is True
        assert [one for one in tab.asked if one.startswith("ws")] == sockets
        tab.page.reload()
        tab.page.get_by_role("heading", name=re.compile("^Paired")).wait_for()


def test_a_wish_that_is_turned_down_is_told(browser: Browser, gateway: Gateway):
    words = ("devices", "invite", "--role", "operator", "--scopes", "operator.read", "--json")
    link = gateway.openclaw(*words, "--public-url", f"ws://127.0.0.1:{gateway.port}").json["url"]
    with open_tab(browser, f"http://127.0.0.1:{gateway.port}/") as tab:
        tab.page.goto(link)
        tab.title("Devices")
        tab.press("Ask for more")
        command = tab.page.get_by_text(re.compile(r"openclaw devices approve \w{4}-\w{4}"))
        command.first.wait_for()
        code = command.first.inner_text().rpartition(" ")[2]

        assert gateway.openclaw("devices", "reject", code).code == 0
        tab.page.get_by_text("An operator turned down what this browser asked for.").wait_for()
        assert tab.page.get_by_role("button", name="Ask for more").is_visible()
