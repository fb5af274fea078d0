"""Taking a changed configuration in: load, plan, apply or report; never end for a bad edit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import trio
from attrs import define

from gateway.policy.credentials import Method, SharedSecrets
from gateway.protocol.close import GATEWAY_AUTH_CHANGED
from gateway.runtime import Runtime
from gateway.settings import Settings
from stores.config.load import LoadedConfig
from stores.config.model import Config, key_of
from stores.errors import UserFacingError
from stores.files import Stamp, stamp

logger = logging.getLogger("gateway.config")

#: How often the configuration file is looked at; it must hold still for one look.
LOOK_EVERY_S = 0.5


@define(eq=False)
class Reloader:
    """Watches the configuration in force and applies what can be applied to a running gateway.

    Args:
        load: Loads the configuration and derives what connections are judged by; raises
            `UserFacingError` when it cannot be used.
    """

    runtime: Runtime
    load: Callable[[], tuple[LoadedConfig, Settings]]
    _seen: Stamp | None = None

    async def watch(self) -> None:
        """Serve for ever: reload when the file changed, or when asked to (SIGHUP).

        Polled on purpose: change notification does not cross the bind mounts of containers.
        """
        self._seen = await self._stamp()
        while True:
            with trio.move_on_after(LOOK_EVERY_S):
                await self.runtime.reload_wanted.wait()
                self.runtime.reload_wanted = trio.Event()
                logger.info("reload asked for")
                await self.reload()
                self._seen = await self._stamp()
            present = await self._stamp()
            if present == self._seen:
                continue
            await trio.sleep(LOOK_EVERY_S / 2)
            if await self._stamp() == present:
                self._seen = present
                await self.reload()

    async def _stamp(self) -> Stamp | None:
        try:
            return await self.runtime.in_thread(stamp, self.runtime.loaded.path)
        except UserFacingError:
            return None

    async def reload(self) -> None:
        """Load the file and apply it; an invalid one is reported and changes nothing."""
        runtime = self.runtime
        try:
            loaded, settings = await runtime.in_thread(self.load)
        except UserFacingError as error:
            runtime.config_problem = error.problem
            logger.error("config reload skipped (invalid config): %s", error)  # noqa: TRY400  # an operator\'s error has no traceback
            return
        runtime.config_problem = None
        changed = dict(changed_keys(runtime.loaded.config, loaded.config))
        runtime.restart_required = tuple(
            dict.fromkeys(
                (*runtime.restart_required, *(k for k, how in changed.items() if how == "restart"))
            )
        )
        old = runtime.settings.secrets
        runtime.loaded, runtime.settings = loaded, settings
        runtime.store.limits = settings.limits
        if changed:
            logger.info("config reloaded: %s", ", ".join(changed))
        if runtime.restart_required:
            logger.warning("a restart is needed for %s", ", ".join(runtime.restart_required))
        if old.secret != settings.secrets.secret:
            self._end_sessions_of(old)

    def _end_sessions_of(self, _old: SharedSecrets) -> None:
        """End the sessions that the old secret let in."""
        for session in self.runtime.hub:
            if session.method in (Method.TOKEN, Method.PASSWORD):
                session.end(GATEWAY_AUTH_CHANGED)


def changed_keys(old: Config, new: Config) -> Iterator[tuple[str, str]]:
    """Yield the dotted keys that differ, each with ``hot`` or ``restart``."""
    yield from _changed(old, new, "")


def _changed(old: Any, new: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for item in attrs.fields(type(old)):
        before, after = getattr(old, item.name), getattr(new, item.name)
        if before == after:
            continue
        key = prefix + key_of(item)
        if "section" in item.metadata:
            yield from _changed(before, after, key + ".")
        else:
            yield key, item.metadata["reload"]
