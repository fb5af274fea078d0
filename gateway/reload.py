"""Taking a changed configuration in: load, plan, apply or report; never end for a bad edit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import trio
from attrs import define, evolve, field

from gateway.narrowing import end_who_would_stay_out
from gateway.notify import ON_EARLIER
from gateway.policy.credentials import Method
from gateway.protocol.close import GATEWAY_AUTH_CHANGED
from gateway.protocol.frames import EventBody
from gateway.runtime import Reloaded, Runtime
from gateway.settings import Settings
from gateway.tls import ServerTls
from stores.config.accident import looks_like_accident
from stores.config.history import record_good
from stores.config.load import InvalidConfigError, LoadedConfig, in_force
from stores.config.model import Config
from stores.config.plan import MODE, plan
from stores.errors import ConfigError, UserFacingError
from stores.files import Stamp, stamp_of

logger = logging.getLogger("gateway.config")

#: How often the configuration files are looked at, and how long they must hold still.
LOOK_EVERY_S = 0.6
HOLD_STILL_S = 0.2

#: A file that could not be used is tried again this often: what it names, such as an included
#: file or one with a secret, may be there by now, and nobody watches that yet.
TRY_AGAIN_S = 5.0

#: What was seen of the files: their stamps, None for one that is not there.
Seen = dict[Path, Stamp | None]


class AccidentError(ConfigError):
    """A file that can be used, but that says so much less than before that nobody wished for it."""


@define(eq=False)
class Reloader:
    """Watches the configuration in force and applies what can be applied to a running gateway.

    Args:
        load: Loads the configuration; raises `UserFacingError` when it cannot be used.
        derive: Derives what connections are judged by; raises it when no gateway would start so.
        applied: Told of what took effect.
        startable: Raises `UserFacingError` when a start would fail: secrets, addresses, the port.
        fixed: The keys that the command line decides, which a restart keeps, each with its option.
    """

    runtime: Runtime
    load: Callable[[], LoadedConfig]
    derive: Callable[[LoadedConfig], Settings]
    applied: Callable[[LoadedConfig], None] = lambda _: None
    startable: Callable[[LoadedConfig], object] = lambda _: None
    fixed: Mapping[str, str] = field(factory=dict)
    # Nothing was seen yet: what changed since the start loaded it is found by the first look.
    _seen: Seen | None = None
    _turn: trio.Lock = field(factory=trio.Lock)
    _faulty: tuple[Path, ...] = ()
    _started_with: Config = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._started_with = self.runtime.loaded.config
        self.runtime.reloader = self

    async def watch(self) -> None:
        """Serve for ever: reload when a file changed, or when asked to (SIGHUP).

        Polled on purpose: change notification does not cross the bind mounts of containers.
        """
        runtime = self.runtime
        if runtime.config_problem is None:
            await self._note_good()
        tried_s = trio.current_time()
        while True:
            with trio.move_on_after(LOOK_EVERY_S):
                await runtime.reload_wanted.wait()
            if runtime.reload_wanted.is_set():
                runtime.reload_wanted = trio.Event()
                logger.info("reload asked for")
                runtime.supervisor.reloading()
                await self.reload()
            elif await self._changed():
                await self.reload()
            elif self._tries_again() and trio.current_time() - tried_s > TRY_AGAIN_S:
                await self._reload(again=True)
            else:
                continue
            tried_s = trio.current_time()
            runtime.supervisor.ready(self._state())

    def _state(self) -> str:
        """Return what the service manager shows of the gateway, without a word of the file's."""
        if self.runtime.config_problem is not None:
            return ON_EARLIER
        return f"listening on port {self.runtime.port}"

    def _tries_again(self) -> bool:
        """Tell whether a load may help: after one that failed, or for a certificate that ends."""
        tls = self.runtime.settings.tls
        ends_ms = tls.renew_at_ms if tls else None
        ends = ends_ms is not None and ends_ms <= self.runtime.now_ms()
        return self.runtime.config_problem is not None or ends

    async def _changed(self) -> bool:
        """Tell whether the files are others than those seen last, and hold still."""
        present = await self._look()
        if present == self._seen:
            return False
        await trio.sleep(HOLD_STILL_S)
        return await self._look() == present  # else: still being written; the next look finds it

    async def _look(self) -> Seen:
        runtime = self.runtime
        known = (*runtime.loaded.sources, *runtime.settings.secret_files, *self._faulty)

        def look() -> Seen:
            file, ignored = in_force(runtime.paths)
            paths = [file, *([ignored] if ignored else []), *known]
            return {path: _stamp_or_none(path) for path in paths}

        return await runtime.in_thread(look)

    async def _see_others(self) -> None:
        """Note files that count since the load; what it read may have been changed again."""
        before = self._seen or {}
        self._seen = {path: before.get(path, now) for path, now in (await self._look()).items()}

    async def reload(self) -> Reloaded:
        """Load the files and apply them; invalid ones are reported and change nothing."""
        return await self._reload(again=self._seen is None)

    async def _reload(self, *, again: bool) -> Reloaded:
        """Load and apply; ``again`` says nothing of a problem that was told already."""
        runtime = self.runtime
        async with self._turn:
            self._seen = await self._look()
            try:
                loaded, settings = await runtime.in_thread(self._load_and_judge)
            except UserFacingError as error:
                return await self._skip(error, told=again)
            self._faulty = ()
            runtime.config_problem = runtime.config_remedy = None
            outcome = self._take_in(loaded, settings)
            await self._note_good()
            await self._see_others()
            return outcome

    def _load_and_judge(self) -> tuple[LoadedConfig, Settings]:
        loaded = self.load()
        self._refuse_accident(loaded)
        return loaded, self.derive(loaded)

    def refuse_unusable(self, loaded: LoadedConfig) -> None:
        """Refuse what the running gateway would not take in; see `Reloading`."""
        self._refuse_accident(loaded)
        self.derive(loaded)

    def refuse_unstartable(self) -> None:
        """Refuse files that a gateway would not start with; what looks like an accident may be."""
        self.startable(self.load())

    def _refuse_accident(self, loaded: LoadedConfig) -> None:
        why = looks_like_accident(self.runtime.loaded, loaded)
        if why is not None:
            raise AccidentError(
                why,
                remedy="go back with `openclaw config rollback good --yes`; only a restart would "
                "take it in as it is",
            )

    async def _skip(self, error: UserFacingError, *, told: bool) -> Reloaded:
        """Keep what is in force and say why."""
        runtime = self.runtime
        known, runtime.config_problem = runtime.config_problem, error.problem
        runtime.config_remedy = error.remedy
        if isinstance(error, InvalidConfigError):
            self._faulty = tuple(fault.path for fault in error.faults)
            await self._see_others()
        why = "looks like an accident" if isinstance(error, AccidentError) else "invalid config"
        if not (told and known == error.problem):
            logger.error("config reload skipped (%s): %s", why, error)
        return Reloaded((), runtime.restart_required, error.problem, error.remedy)

    def _take_in(self, loaded: LoadedConfig, settings: Settings) -> Reloaded:
        runtime = self.runtime
        found = plan(runtime.loaded.config, loaded.config, fixed=self.fixed)
        applied = found.apply
        waiting = plan(self._started_with, loaded.config, fixed=self.fixed).restart
        if settings.secrets.mode is not runtime.settings.secrets.mode:
            # Without its key too: a password that appears makes the mode password.
            kept = runtime.settings
            settings = evolve(
                settings,
                secrets=kept.secrets,
                secret_source=kept.secret_source,
                proxy=kept.proxy,
            )
            waiting = tuple(dict.fromkeys([*waiting, MODE]))
        if not applied and settings.secrets != runtime.settings.secrets:
            applied = (f"gateway.auth.{settings.secrets.mode}File",)
        self._apply(loaded, settings)
        if applied:
            logger.info("config reloaded: %s", ", ".join(applied))
        for key, option in found.fixed.items():
            logger.warning("%s was changed and does not count: %s goes before it", key, option)
        if waiting and waiting != runtime.restart_required:
            logger.warning("a restart is needed for %s", ", ".join(waiting))
        runtime.restart_required = waiting
        return Reloaded(applied, waiting)

    def _apply(self, loaded: LoadedConfig, settings: Settings) -> None:
        runtime = self.runtime
        before, runtime.loaded = runtime.loaded, loaded
        old, runtime.settings = runtime.settings, settings
        runtime.store.limits = settings.limits
        for name, value in attrs.asdict(settings.throttle).items():
            setattr(runtime.throttle, name, value)  # the object stays: it knows who is locked
        self.applied(loaded)
        _tell_of_certificate(old.tls, settings.tls)
        if old.secrets.secret != settings.secrets.secret:
            self._end_sessions_of_secret()
        end_who_would_stay_out(runtime, old, settings)
        if (before.path, before.digest) != (loaded.path, loaded.digest):
            runtime.facts = evolve(runtime.facts, config_path=str(loaded.path))
            news = {"path": str(loaded.path), "hash": loaded.digest, "ts": runtime.now_ms()}
            runtime.hub.broadcast(EventBody("config.changed", news))

    def _end_sessions_of_secret(self) -> None:
        """End the sessions that the old secret let in."""
        for session in self.runtime.hub:
            if session.method in (Method.TOKEN, Method.PASSWORD):
                session.end(GATEWAY_AUTH_CHANGED)

    async def _note_good(self) -> None:
        """Note that the gateway runs with what is in force: it becomes the last-known-good."""
        runtime = self.runtime
        try:
            await runtime.in_thread(record_good, runtime.paths, runtime.loaded)
        except UserFacingError as error:
            logger.warning("the last-known-good configuration was not noted: %s", error)


def _tell_of_certificate(old: ServerTls | None, new: ServerTls | None) -> None:
    """Say that new connections are shown another certificate: whoever pins it must know."""
    if old is None or new is None or old.fingerprint == new.fingerprint:
        return
    logger.warning("the certificate is another one now: sha256 %s", new.fingerprint)
    for text in new.warnings:
        logger.warning("%s", text)


def _stamp_or_none(path: Path) -> Stamp | None:
    """Return the stamp of what a path leads to: volumes of containers exchange only links."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None
