"""Sessions at a whole gateway: paired, admitted and known by a test in one line each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from gateway.options import RunOptions
from stores.keys import KeyPair
from tests.serving import TOKEN, Serving, open_gateway
from tests.wire import Wire, open_wire

#: What makes a connection of this machine look like one of the internet.
FORWARDED = (("X-Forwarded-For", "203.0.113.9"),)

#: Longest life of a test's gateway: a test that hangs is ended by it, not by the runner.
PATIENCE_S = 30


@asynccontextmanager
async def a_gateway(
    folder: Path,
    section: dict[str, object] | None = None,
    *,
    options: RunOptions | None = None,
) -> AsyncIterator[Serving]:
    """Serve a gateway whose state is below ``folder``."""
    with trio.fail_after(PATIENCE_S):
        async with open_gateway(folder / "state", section, options=options) as gateway:
            yield gateway


@asynccontextmanager
async def knocking(
    gateway: Serving, *, remote: bool = False, origin: str | None = None, host: str | None = None
) -> AsyncIterator[Wire]:
    """Open a connection that has not said ``connect`` yet."""
    headers = FORWARDED if remote else ()
    async with open_wire(gateway.port, headers=headers, origin=origin, host=host) as wire:
        yield wire


@asynccontextmanager
async def admitted(
    gateway: Serving,
    *,
    remote: bool = False,
    origin: str | None = None,
    host: str | None = None,
    **wanted: Any,
) -> AsyncIterator[Wire]:
    """Open a session, with the gateway's token unless other credentials are given."""
    if not wanted.keys() & {"token", "password", "device_token"}:
        wanted["token"] = TOKEN
    async with knocking(gateway, remote=remote, origin=origin, host=host) as wire:
        response = await wire.connect(**wanted)
        assert response["ok"], response
        yield wire


async def refused(gateway: Serving, *, remote: bool = False, **wanted: Any) -> dict[str, Any]:
    """Return the error of a connect that must not succeed; the close was waited for."""
    origin, host = wanted.pop("origin", None), wanted.pop("host", None)
    async with knocking(gateway, remote=remote, origin=origin, host=host) as wire:
        response = await wire.connect(**wanted)
        assert not response["ok"], response
        error: dict[str, Any] = response["error"]
        code, reason = await wire.closed()
        return error | {"close": (int(code), reason)}


async def paired(gateway: Serving, key: KeyPair, **wanted: Any) -> str:
    """Pair a device by a local contact, and return its device token."""
    async with admitted(gateway, key=key, **wanted) as wire:
        assert wire.hello is not None
        token: str = wire.hello["auth"]["deviceToken"]
        return token
