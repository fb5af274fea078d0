"""Certificates that change under a running gateway: taken in, or named while the old one serves."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import trio

from gateway import reload
from gateway.reload import Reloader
from stores.certificate import VALID_DAYS
from stores.fingerprint import fingerprint_of, in_pairs
from stores.scopes import ADMIN
from tests.patience import wait_until
from tests.pems import Pair, a_pair
from tests.serving import TOKEN, Serving, open_gateway, write_config
from tests.test_tls import careless, encrypting, named
from tests.wire import key_of, open_wire

pytestmark = pytest.mark.slow  # a change is looked for twice a second


async def shown(gateway: Serving) -> str:
    """Return the fingerprint that a new connection sees."""
    stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
    async with stream:
        line = trio.SSLStream(stream, careless())
        await line.do_handshake()
        certificate = line.getpeercert(binary_form=True)
    assert certificate is not None
    return fingerprint_of(certificate)


async def looked(gateway: Serving) -> None:
    """Wait until the files were looked at once: the first look loads them whatever it sees."""
    reloader = gateway.runtime.reloader
    assert isinstance(reloader, Reloader)
    await wait_until(lambda: reloader._seen is not None)


def replace(old: Pair, new: Pair) -> None:
    """Put another pair where one was, as a program that renews certificates does."""
    os.replace(new.cert, old.cert)
    os.replace(new.key, old.key)


def present(gateway: Serving) -> str:
    """Return the fingerprint that counts for new connections."""
    tls = gateway.runtime.settings.tls
    assert tls is not None
    return tls.certificate.fingerprint


async def test_renewed_files_are_shown_to_new_connections_and_old_ones_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    old, new = a_pair(tmp_path, "old"), a_pair(tmp_path / "new", "new")

    async with open_gateway(tmp_path / "s", named(old)) as gateway:
        assert await shown(gateway) == old.fingerprint
        await looked(gateway)
        async with open_wire(gateway.port, tls=careless()) as wire:
            assert (await wire.connect(key=key_of(1), token=TOKEN, scopes=(ADMIN,)))["ok"]
            replace(old, new)
            await wait_until(lambda: present(gateway) == new.fingerprint)

            assert await shown(gateway) == new.fingerprint
            told = (await wire.result("status"))["gateway"]["tls"]
        assert told["fingerprint"] == f"sha256:{new.fingerprint}"

    assert any(in_pairs(new.fingerprint) in record.getMessage() for record in caplog.records)


async def test_files_that_do_not_fit_change_nothing_and_are_named_until_they_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    old, new = a_pair(tmp_path, "old"), a_pair(tmp_path / "new", "new")

    async with open_gateway(tmp_path / "s", named(old)) as gateway:
        await looked(gateway)
        os.replace(new.cert, old.cert)
        await wait_until(lambda: gateway.runtime.config_problem)

        assert await shown(gateway) == old.fingerprint
        async with open_wire(gateway.port, tls=careless()) as wire:
            assert (await wire.connect(key=key_of(1), token=TOKEN, scopes=(ADMIN,)))["ok"]
            (problem,) = (await wire.result("health"))["problems"]
        os.replace(new.key, old.key)
        await wait_until(lambda: gateway.runtime.config_problem is None)
        assert await shown(gateway) == new.fingerprint

    assert f"gateway.tls.keyPath: {old.key} is not the key" in problem["problem"]
    assert any("reload skipped" in record.getMessage() for record in caplog.records)


async def test_a_link_higher_up_that_is_exchanged_is_seen(tmp_path: Path):
    """As volumes of containers do: the names stay links, what is behind them changes."""
    one, two = a_pair(tmp_path / "1", "server"), a_pair(tmp_path / "2", "server")
    data, names = tmp_path / "data", tmp_path / "names"
    data.symlink_to("1")
    names.mkdir()
    for file in (one.cert.name, one.key.name):
        (names / file).symlink_to(data / file)
    config = named(Pair(names / one.cert.name, names / one.key.name, one.certificate, one.private))

    async with open_gateway(tmp_path / "s", config) as gateway:
        await looked(gateway)
        other = tmp_path / "other"
        other.symlink_to("2")
        os.replace(other, data)

        await wait_until(lambda: present(gateway) == two.fingerprint)


async def test_another_pair_in_the_configuration_counts_without_a_restart(tmp_path: Path):
    one, two = a_pair(tmp_path, "one"), a_pair(tmp_path, "two")

    async with open_gateway(tmp_path / "s", named(one)) as gateway:
        write_config(gateway.state_dir, named(two))
        await wait_until(lambda: present(gateway) == two.fingerprint)

        assert gateway.runtime.restart_required == ()


async def test_encryption_itself_waits_for_a_restart(tmp_path: Path):
    async with encrypting(tmp_path) as (gateway, _):
        first = await shown(gateway)
        write_config(gateway.state_dir, {"tls": {"enabled": False}})
        await wait_until(lambda: gateway.runtime.restart_required)

        assert gateway.runtime.restart_required == ("gateway.tls.enabled",)
        assert await shown(gateway) == first


async def test_a_certificate_of_its_own_is_renewed_while_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(reload, "TRY_AGAIN_S", 0.0)
    caplog.set_level(logging.WARNING, logger="gateway.config")

    async with encrypting(tmp_path) as (gateway, _):
        first, now_ms = present(gateway), gateway.runtime.now_ms
        later_ms = now_ms() + VALID_DAYS * 86_400_000
        monkeypatch.setattr("gateway.tls.time.time_ns", lambda: later_ms * 1_000_000)
        gateway.runtime.now_ms = lambda: later_ms
        await wait_until(lambda: present(gateway) != first)

        assert await shown(gateway) == present(gateway)

    assert any("is another one now" in record.getMessage() for record in caplog.records)
