"""Taking a changed configuration in: load, plan, apply or report; never end for a bad edit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import trio
from attrs import define, evolve, field

from gateway.policy.credentials import Method
from gateway.protocol.close import GATEWAY_AUTH_CHANGED
from gateway.runtime import Runtime
from gateway.settings import Settings
from stores.config.load import LoadedConfig
from stores.config.model import Config, key_of
from stores.errors import ConfigError, StoreError, UserFacingError
from stores.files import Stamp, stamp

logger = logging.getLogger("gateway.config")

#: How often the configuration files are looked at, and how long they must hold still.
LOOK_EVERY_S = 0.6
HOLD_STILL_S = 0.2

#: What was seen of the files: one stamp each, None for one that is not there.
Seen = tuple[Stamp | None, ...]


@define(eq=False)
class Reloader:
    """Watches the configuration in force and applies what can be applied to a running gateway.

    Args:
        load: Loads the configuration and derives what connections are judged by; raises
            `UserFacingError` when it cannot be used.
    """

    runtime: Runtime
    load: Callable[[], tuple[LoadedConfig, Settings]]
    _started_with: Config = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._started_with = self.runtime.loaded.config

    async def watch(self) -> None:
        """Serve for ever: reload when a file changed, or when asked to (SIGHUP).

        Polled on purpose: change notification does not cross the bind mounts of containers.
        """
        runtime = self.runtime
        # Nothing was seen yet: what was changed since the start loaded it is found by the first look.
        seen: Seen | None = None
        while True:
            with trio.move_on_after(LOOK_EVERY_S):
                await runtime.reload_wanted.wait()
            asked = runtime.reload_wanted.is_set()
            if asked:
                runtime.reload_wanted = trio.Event()
                logger.info("reload asked for")
            present = await self._look()
            if present == seen and not asked:
                continue
            if not asked:
                await trio.sleep(HOLD_STILL_S)
                if await self._look() != present:
                    continue  # still being written; the next round finds it changed
            seen = present
            await self.reload()

    async def _look(self) -> Seen:
        runtime = self.runtime
        paths = (runtime.loaded.path, *runtime.loaded.sources, *runtime.settings.secret_files)
        return await runtime.in_thread(_stamps, paths)

    async def reload(self) -> None:
        """Load the files and apply them; invalid ones are reported and change nothing."""
        runtime = self.runtime
        try:
            loaded, settings = await runtime.in_thread(self.load)
            _refuse_loss(runtime.loaded, loaded)
        except UserFacingError as error:
            runtime.config_problem = error.problem
            logger.error("config reload skipped (invalid config): %s", error)  # noqa: TRY400  # an operator's error has no traceback
            return
        runtime.config_problem = None
        changed = [key for key, _ in changed_keys(runtime.loaded.config, loaded.config)]
        waiting = [
            key for key, how in changed_keys(self._started_with, loaded.config) if how == "restart"
        ]
        if settings.secrets.mode is not runtime.settings.secrets.mode:
            # Without its key too: a password that appears makes the mode password.
            settings = evolve(settings, secrets=runtime.settings.secrets)
            waiting = list(dict.fromkeys([*waiting, "gateway.auth.mode"]))
        self._apply(loaded, settings)
        if changed:
            logger.info("config reloaded: %s", ", ".join(changed))
        if waiting and tuple(waiting) != runtime.restart_required:
            logger.warning("a restart is needed for %s", ", ".join(waiting))
        runtime.restart_required = tuple(waiting)

    def _apply(self, loaded: LoadedConfig, settings: Settings) -> None:
        runtime = self.runtime
        old, runtime.loaded, runtime.settings = runtime.settings, loaded, settings
        runtime.store.limits = settings.limits
        for name, value in attrs.asdict(settings.throttle).items():
            setattr(runtime.throttle, name, value)  # the object stays: it knows who is locked
        if old.secrets.secret != settings.secrets.secret:
            self._end_sessions_of_secret()

    def _end_sessions_of_secret(self) -> None:
        """End the sessions that the old secret let in."""
        for session in self.runtime.hub:
            if session.method in (Method.TOKEN, Method.PASSWORD):
                session.end(GATEWAY_AUTH_CHANGED)


def _stamps(paths: tuple[Path, ...]) -> Seen:
    return tuple(_stamp_or_none(path) for path in paths)


def _stamp_or_none(path: Path) -> Stamp | None:
    try:
        return stamp(path)
    except StoreError:
        return None


def _refuse_loss(old: LoadedConfig, new: LoadedConfig) -> None:
    """Refuse what looks like an accident: an editor that emptied the file, or a file that is gone.

    Raises:
        ConfigError: the configuration in force says more than the one found.
    """
    if old.exists and not new.exists:
        problem = f"{new.path} is gone"
    elif old.document.get("gateway") and not new.document.get("gateway"):
        problem = f"{new.path} says nothing about the gateway any more"
    else:
        return
    raise ConfigError(problem, remedy="put it back; the running gateway keeps what it had")


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
