"""A whole gateway in the test's own event loop: real files, real sockets, any free port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import trio
from attrs import define

from gateway.app import run_gateway, services_of
from gateway.binding import open_sockets
from gateway.door import Door
from gateway.main import build
from gateway.options import RunOptions
from gateway.runtime import Runtime
from gateway.starting import Start, flags_of
from stores.config.load import load_config
from stores.config.model import Bind
from stores.credentials import resolve_gateway_auth
from stores.devices import DeviceStore
from stores.paths import resolve_paths

TOKEN = "a-shared-token-for-tests"  # of gateways that live for one test


@define(eq=False)
class Serving:
    """A gateway that serves, and its state directory."""

    port: int
    state_dir: Path
    door: Door
    stop: trio.Event

    @property
    def runtime(self) -> Runtime:
        """What its tasks share."""
        return self.door.runtime

    @property
    def store(self) -> DeviceStore:
        """A store of another program on the same files."""
        return DeviceStore(self.state_dir / "devices")


def write_config(state_dir: Path, gateway: dict[str, object] | None = None) -> Path:
    """Write a configuration with the test's token and return the file."""
    state_dir.mkdir(parents=True, exist_ok=True)
    auth: dict[str, object] = {"mode": "token", "token": TOKEN}
    section: dict[str, object] = {"mode": "local", "auth": auth} | (gateway or {})
    file = state_dir / "openclaw.json"
    file.write_bytes(orjson.dumps({"gateway": section}, option=orjson.OPT_INDENT_2))
    file.chmod(0o600)
    return file


@asynccontextmanager
async def open_gateway(
    state_dir: Path,
    gateway: dict[str, object] | None = None,
    *,
    addresses: tuple[str, ...] = ("127.0.0.1",),
    env: dict[str, str] | None = None,
    options: RunOptions | None = None,
) -> AsyncIterator[Serving]:
    """Serve a gateway on ``addresses`` while the body runs, then stop it as a signal would."""
    if not (state_dir / "openclaw.json").exists():
        write_config(state_dir, gateway)
    environment = {"OPENCLAW_STATE_DIR": str(state_dir), "HOME": str(state_dir)} | (env or {})
    paths = resolve_paths(environment)
    loaded = load_config(paths, environment)
    options = options or RunOptions()
    auth = resolve_gateway_auth(loaded, environment, flags_of(options))
    sockets, port = open_sockets(list(addresses), 0)
    start = Start(options, environment, paths, loaded, auth, Bind.LOOPBACK, sockets, port)
    door, reloader = build(start)
    listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in sockets]
    stop, ready = door.runtime.stop, trio.Event()
    async with trio.open_nursery() as nursery:

        async def life() -> None:
            await run_gateway(
                door, listeners, services_of(door, reloader), stop=stop, on_ready=ready.set
            )

        nursery.start_soon(life)
        await ready.wait()
        yield Serving(port, state_dir, door, stop)
        stop.set()
