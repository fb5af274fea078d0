"""Links and codes that let a device in unasked: who may use them, how often, and what they give."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stores.setup_code import decode
from tests.scenarios.clients import FROM_AFAR, READ, Knock, knock, new_key
from tests.scenarios.programs import Gateway, eventually, running_gateway
from tests.scenarios.test_published_clients import npm_client, seen

pytestmark = pytest.mark.slow
OWNER = ("operator.admin", "operator.pairing", "operator.read")


def made(gateway: Gateway, *words: str) -> dict[str, object]:
    """Return what a command that invites prints as JSON."""
    done = gateway.openclaw(*words, "--json")
    assert done.code == 0, done.err
    told: dict[str, object] = done.json
    return told


def invited(gateway: Gateway, *words: str) -> str:
    """Return the secret of a new invitation."""
    return decode(str(made(gateway, "devices", "invite", *words)["setupCode"])).token


def bring(gateway: Gateway, token: str, **wanted: object) -> Knock:
    """Connect from afar with a setup code."""
    words = {"key": new_key(), "headers": FROM_AFAR, "role": "node", "scopes": ()} | wanted
    return knock(gateway.port, bootstrap_token=token, **words)


def test_the_dashboard_link_lets_one_new_browser_in_from_afar_once(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        link = str(made(gateway, "dashboard")["url"])
        page, _, token = link.partition("#bootstrapToken=")
        words = {"role": "operator", "scopes": OWNER, "mode": "webchat"}

        first = bring(gateway, token, **words, origin=page.rstrip("/"), host=page.split("/")[2])
        second = bring(gateway, token, **words, origin=page.rstrip("/"), host=page.split("/")[2])

        assert token
        assert first.auth["method"] == "bootstrap-token"
        assert set(OWNER) <= set(first.auth["scopes"])
        assert gateway.kept("pending.json") == {}
        assert second.details["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
        assert "already used" in second.error["message"]
        assert second.details["remedy"]["command"] == "openclaw dashboard"
        eventually(lambda: "This one is used." in gateway.said())
        assert token not in gateway.said() + (gateway.devices / "bootstrap.json").read_text()
        assert [line["reason"] for line in gateway.audit("device.redeemed")] == ["invitation"]


def test_an_invited_device_comes_back_by_the_token_it_was_given(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        key, token = new_key(), invited(gateway)
        first = bring(gateway, token, key=key)

        lost_answer = bring(gateway, token, key=key)
        later = knock(
            gateway.port,
            key=key,
            device_token=first.auth["deviceToken"],
            headers=FROM_AFAR,
            role="node",
            scopes=(),
        )

    assert lost_answer.auth["deviceToken"] == first.auth["deviceToken"]
    assert later.auth["method"] == "device-token"
    assert "deviceTokens" not in first.auth


def test_an_invitation_ends_for_a_device_that_was_removed_meanwhile(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        key, token = new_key(), invited(gateway)
        bring(gateway, token, key=key)
        gateway.openclaw("devices", "remove", key.device_id, "--yes")

        again = bring(gateway, token, key=key)

        assert again.details["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
        assert key.device_id not in gateway.kept("paired.json")


def test_what_is_asked_beyond_the_invitation_waits(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        token = invited(gateway, "--role", "operator", "--scopes", "operator.read")

        guest = bring(gateway, token, role="operator", scopes=("operator.admin",))

    assert guest.auth["scopes"] == list(READ)
    assert guest.auth["pendingUpgrade"]["scopes"] == ["operator.admin"]


def test_an_invitation_made_without_the_gateway_counts_when_it_runs(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        token = invited(gateway, "--offline", "--uses", "2")

        guests = [bring(gateway, token) for _ in range(3)]

    assert [guest.admitted for guest in guests] == [True, True, False]


def test_of_two_that_race_for_one_invitation_one_gets_in(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        token, guests = invited(gateway), list[Knock]()
        both = [
            threading.Thread(target=lambda: guests.append(bring(gateway, token))) for _ in range(4)
        ]
        for one in both:
            one.start()
        for one in both:
            one.join()

    assert sorted(guest.admitted for guest in guests) == [False, False, False, True]


def test_a_revoked_invitation_lets_nobody_in_and_the_list_forgets_it(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        told = made(gateway, "devices", "invite")
        short = str(told["setupId"])
        listed = gateway.openclaw("devices", "invite", "--list")

        gateway.openclaw("devices", "invite", "--revoke", short)
        late = bring(gateway, decode(str(told["setupCode"])).token)
        left = gateway.openclaw("devices", "invite", "--list")

        assert short in listed.out
        assert late.details["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
        assert "No invitation" in left.out
        eventually(lambda: "This one is revoked." in gateway.said())


def test_a_damaged_file_of_invitations_lets_nobody_in_and_harms_no_device(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        key, token = new_key(), invited(gateway, "--uses", "9")
        first = bring(gateway, token, key=key)
    (gateway.devices / "bootstrap.json").write_text("{damaged")
    with running_gateway(tmp_path / "s") as gateway:
        stranger = bring(gateway, token)
        known = bring(gateway, "none", key=key, device_token=first.auth["deviceToken"])
        fresh = bring(gateway, invited(gateway))

        assert not stranger.admitted
        assert known.admitted
        assert fresh.admitted
        kept = [file.name for file in gateway.devices.glob("bootstrap.json*corrupt*")]
        assert kept != []


def test_a_wrong_code_is_charged_like_a_wrong_secret(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        answers = [bring(gateway, f"guess-{number}").details["code"] for number in range(12)]

    assert answers[0] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
    assert answers[-1] == "AUTH_RATE_LIMITED"


@pytest.mark.real("node", "npm-client")
def test_the_npm_client_redeems_a_setup_code(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        token = invited(gateway, "--role", "operator", "--scopes", "operator.read")

        lines = npm_client(
            tmp_path / "n", gateway.port, None, bootstrapToken=token, scopes=list(READ)
        )

    hello = seen(lines, "hello")
    assert hello is not None, lines
    assert hello["hello"]["auth"]["method"] == "bootstrap-token"


def test_a_device_with_a_stale_token_comes_back_after_an_approval(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s") as gateway:
        key, token = new_key(), invited(gateway)
        stale = bring(gateway, token, key=key).auth["deviceToken"]
        gateway.openclaw("devices", "rotate", key.device_id, "--role", "node", "--yes")
        words = {"key": key, "device_token": stale, "headers": FROM_AFAR, "role": "node"}

        refused = knock(gateway.port, **words, scopes=())
        (waiting,) = gateway.kept("pending.json").values()
        gateway.openclaw("devices", "approve", waiting["requestId"])
        back = knock(gateway.port, **words, scopes=())
        fresh = words | {"device_token": back.auth["deviceToken"]}
        again = knock(gateway.port, **words, scopes=())

        assert refused.error["message"].startswith("unauthorized: device token mismatch")
        assert "requestId" not in refused.details
        assert waiting["requestId"] not in str(refused.response)
        assert f"devices approve {waiting['requestId']}" in gateway.said()
        assert back.admitted
        assert back.auth["deviceToken"] != stale
        assert knock(gateway.port, **fresh, scopes=()).admitted
        assert not again.admitted
