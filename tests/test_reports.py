"""What plain HTTP tells of the gateway, and whom: strangers, its own user, who has the secret."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from gateway import reports
from gateway.readiness import TRY_WRITE_EVERY_S
from stores.files import ensure_private_dir
from tests.serving import TOKEN, Serving, open_gateway
from tests.test_http import Answer, ask

AFAR = ("X-Forwarded-For", "198.51.100.7")
T = TypeVar("T")
PASSWORD = "a-password-for-tests"


def bearer(secret: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {secret}"


async def from_afar(gateway: Serving, path: str, *more: tuple[str, str]) -> Answer:
    return await ask(gateway.port, path, headers=(AFAR, *more))


async def test_a_program_of_the_same_user_on_this_machine_reads_metrics(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, "/metrics")

    assert answer.status == 200
    assert answer.headers[b"content-type"].startswith(b"text/plain; version=0.0.4")
    assert b"openclaw_connections" in answer.body


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        pytest.param(None, (AFAR,), id="forwarded"),
        pytest.param(None, (("Via", "1.1 proxy"), ("Forwarded", "for=x")), id="by-a-proxy"),
        pytest.param("evil.example", (), id="name-that-was-bound-anew"),
        pytest.param(None, (AFAR, ("Authorization", "Basic dXNlcjpwYXNz")), id="another-scheme"),
        pytest.param(None, (AFAR, ("Authorization", "Bearer")), id="empty"),
        pytest.param(None, (AFAR, ("Authorization", TOKEN)), id="no-scheme"),
        pytest.param(None, (AFAR, bearer(TOKEN), bearer(TOKEN)), id="twice"),
    ],
)
async def test_strangers_read_no_metrics(
    tmp_path: Path, host: str | None, headers: tuple[tuple[str, str], ...]
):
    async with open_gateway(tmp_path / "state") as gateway:
        answer = await ask(gateway.port, "/metrics", host=host, headers=headers)

    assert answer.status == 401
    assert answer.headers[b"www-authenticate"] == b"Bearer"
    assert b"openclaw_" not in answer.body
    assert b"bearer credential" in answer.body


async def test_another_user_of_this_machine_reads_no_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with open_gateway(tmp_path / "state") as gateway:
        monkeypatch.setattr(reports, "peer_uid", lambda *_: gateway.runtime.own_uid + 4711)
        answer = await ask(gateway.port, "/metrics")

    assert answer.status == 401


@pytest.mark.parametrize("user", ["ann", "somebody-else"])
async def test_who_comes_through_a_proxy_that_signs_users_in_is_no_program_of_ours(
    tmp_path: Path, user: str
):
    proxy = {"userHeader": "x-user", "allowUsers": ["ann"], "allowLoopback": True}
    auth = {"mode": "trusted-proxy", "trustedProxy": proxy}
    section: dict[str, object] = {"auth": auth, "trustedProxies": ["127.0.0.1"]}
    async with open_gateway(tmp_path / "state", section) as gateway:
        answer = await ask(gateway.port, "/metrics", headers=(("X-User", user),))

    assert answer.status == 401


async def test_where_the_kernel_cannot_tell_the_secret_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reports, "peer_uid", lambda *_: None)
    monkeypatch.setattr(reports, "kernel_tells", lambda: False)
    async with open_gateway(tmp_path / "state") as gateway:
        without = await ask(gateway.port, "/metrics")
        shown = await ask(gateway.port, "/metrics", headers=(bearer(TOKEN),))

    assert (without.status, shown.status) == (401, 200)


@pytest.mark.parametrize(
    ("auth", "sent", "status"),
    [
        pytest.param({"mode": "token", "token": TOKEN}, TOKEN, 200, id="token"),
        pytest.param({"mode": "password", "password": PASSWORD}, PASSWORD, 200, id="password"),
        pytest.param({"mode": "token", "token": TOKEN}, "not-it", 401, id="wrong"),
        pytest.param({"mode": "none"}, "whatever", 401, id="no-secret-that-could-be-shown"),
    ],
)
async def test_who_shows_the_shared_secret_reads_metrics_from_anywhere(
    tmp_path: Path, auth: dict[str, str], sent: str, status: int
):
    async with open_gateway(tmp_path / "state", {"auth": auth}) as gateway:
        answer = await from_afar(gateway, "/metrics", bearer(sent))

    assert answer.status == status


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
async def test_guessing_the_secret_locks_out_as_in_a_handshake(tmp_path: Path, path: str):
    limit: dict[str, object] = {
        "auth": {"mode": "token", "token": TOKEN, "rateLimit": {"maxAttempts": 3}}
    }
    async with open_gateway(tmp_path / "state", limit) as gateway:
        for number in range(3):
            await from_afar(gateway, path, bearer(f"guess-{number}"))
        metrics = await from_afar(gateway, "/metrics", bearer(TOKEN))
        ready = await from_afar(gateway, "/readyz", bearer(TOKEN))
        own = await ask(gateway.port, "/metrics")

    assert metrics.status == 429
    assert int(metrics.headers[b"retry-after"]) > 0
    assert ready.json == {"ready": True}
    assert own.status == 200


async def test_a_refusal_is_in_the_ring_without_what_was_sent(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        await from_afar(gateway, "/metrics", bearer("a-wrong-one-that-was-sent"))
        (entry,) = gateway.runtime.refusals.listing()

    assert entry["httpStatus"] == 401
    assert "bearer credential is wrong" in entry["sentence"]
    assert "a-wrong-one-that-was-sent" not in str(entry)


async def test_ready_tells_details_to_those_who_may_know(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        gateway.runtime.config_problem = "openclaw.json:1: off"
        gateway.runtime.config_remedy = "correct it"
        stranger = await from_afar(gateway, "/readyz")
        shown = await from_afar(gateway, "/readyz", bearer(TOKEN))
        own = await ask(gateway.port, "/readyz")

    assert [one.status for one in (stranger, shown, own)] == [503] * 3
    assert stranger.json == {"ready": False}
    assert shown.json.keys() == {"ready", "failing", "uptimeMs", "eventLoop"}
    assert shown.json["failing"] == ["config"]
    assert own.json["problems"] == [
        {
            "name": "config",
            "where": str(tmp_path / "state" / "openclaw.json"),
            "problem": "openclaw.json:1: off",
            "remedy": "correct it",
        }
    ]


async def test_a_store_that_cannot_be_written_is_not_ready(tmp_path: Path):
    devices = tmp_path / "state" / "devices"
    ensure_private_dir(devices)
    async with open_gateway(tmp_path / "state") as gateway:
        before = await ask(gateway.port, "/readyz")
        left = list(devices.glob(".*"))
        # the next trial is due
        gateway.runtime.readiness._tried_s -= TRY_WRITE_EVERY_S
        shutil.rmtree(devices)
        devices.write_text("no folder")
        after = await ask(gateway.port, "/readyz")
        devices.unlink()

    assert (before.status, left) == (200, [])
    assert after.status == 503
    failing = after.json["failing"]
    assert isinstance(failing, list)
    assert "store-write" in failing


async def test_strangers_cause_no_more_than_one_trial_in_a_while(tmp_path: Path):
    tried: list[str] = []

    async def noting(sync_fn: Callable[..., T], *args: object) -> T:
        tried.append(sync_fn.__name__)
        return sync_fn(*args)

    async with open_gateway(tmp_path / "state") as gateway:
        gateway.runtime.in_thread = noting
        for _ in range(5):
            await from_afar(gateway, "/readyz")

    assert tried.count("_try_to_write") == 1


async def test_alive_tells_its_own_user_how_late_the_event_loop_is(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        gateway.runtime.metrics.lagged(0.25)
        own = (await ask(gateway.port, "/healthz")).json
        stranger = (await from_afar(gateway, "/healthz")).json

    assert own["eventLoop"] == {"lagMs": 250.0, "maxLagMs": 250.0}
    assert "eventLoop" not in stranger


async def test_metrics_are_not_for_the_pages_of_others(tmp_path: Path):
    async with open_gateway(tmp_path / "state") as gateway:
        page = ("Origin", "https://evil.example")
        answer = await ask(gateway.port, "/metrics", headers=(page, bearer(TOKEN)))

    assert answer.status == 403
