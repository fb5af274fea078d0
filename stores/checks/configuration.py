"""The configuration file: whether it can be used, and whether the gateway that runs uses it."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator

from stores.checks.finding import Finding, Scene, Severity, command_in
from stores.config.load import InvalidConfigError, in_force
from stores.config.model import GatewayMode
from stores.config.startup import refuse_unsafe_start
from stores.errors import ConfigError, StoreError, UserFacingError
from stores.fingerprint import secret_fingerprint
from stores.identity import TokenCache, known_identity
from stores.paths import refuse_foreign_state
from stores.running import Running

#: Warnings of the loader that the doctor tells in its own, fuller way.
_TOLD_ELSEWHERE = ("gateway.trustedProxies:",)


def check(scene: Scene) -> Iterator[Finding]:
    """Yield what is wrong with the file, and between it and the gateway that runs."""
    yield from _foreign(scene)
    if scene.fault is not None:
        yield from _unusable(scene, scene.fault)
    if scene.lost is not None:
        yield _lost(scene.lost)
    yield from _ignored(scene)
    if scene.loaded is not None:
        yield from _start(scene)
        for text in scene.loaded.warnings:
            if not text.startswith(_TOLD_ELSEWHERE):
                yield Finding(
                    id="config-warning",
                    severity=Severity.WARNING,
                    title="The configuration says something that is probably not meant",
                    saw=text,
                    command=command_in(text, scene.command("config validate")),
                )
    yield from _drift(scene)


def _foreign(scene: Scene) -> Iterator[Finding]:
    try:
        refuse_foreign_state(scene.paths)
    except ConfigError as error:
        yield Finding(
            id="foreign-state",
            severity=Severity.ERROR,
            title="The state directory is another program's",
            saw=error.problem,
            command=command_in(error.remedy, scene.command("--help")),
        )


def _unusable(scene: Scene, fault: UserFacingError) -> Iterator[Finding]:
    faults = fault.faults if isinstance(fault, InvalidConfigError) else ()
    told: list[tuple[str, str | None]] = [(one.problem, one.remedy) for one in faults]
    told = told or [(fault.problem, fault.remedy)]
    for problem, remedy in told:
        yield Finding(
            id="config-invalid",
            severity=Severity.ERROR,
            title="The configuration cannot be used, and no gateway starts with it",
            saw=f"{problem} ({remedy})" if remedy else problem,
            command=command_in(remedy, scene.command("config rollback")),
        )


def _lost(lost: UserFacingError) -> Finding:
    return Finding(
        id="config-lost",
        severity=Severity.ERROR,
        title="The configuration file lost what the running gateway works with",
        saw=lost.problem,
        command=command_in(lost.remedy),
    )


def _ignored(scene: Scene) -> Iterator[Finding]:
    try:
        file, ignored = in_force(scene.paths)
    except ConfigError:
        return  # told of as unusable
    if ignored is not None:
        away = shlex.join(["mv", str(ignored), f"{ignored}.unused"])
        yield Finding(
            id="config-ignored",
            severity=Severity.WARNING,
            title="There are two configuration files, and one of them is ignored",
            saw=f"{file} is in force, {ignored} is ignored",
            command=away,
        )


def _start(scene: Scene) -> Iterator[Finding]:
    problem = scene.auth_fault
    gateway = scene.loaded.config.gateway if scene.loaded is not None else None
    if gateway is not None and gateway.mode is GatewayMode.REMOTE and gateway.remote.url:
        yield Finding(
            id="mode-remote",
            severity=Severity.INFO,
            title="This machine uses a gateway elsewhere, so none starts here",
            saw=f"gateway.mode is remote, and gateway.remote.url is {gateway.remote.url}",
            command=scene.command("gateway probe"),
        )
        return
    if scene.loaded is not None and scene.auth is not None:
        try:
            refuse_unsafe_start(scene.loaded.config, scene.auth)
        except ConfigError as error:
            problem = error
    if problem is not None:
        yield Finding(
            id="config-start",
            severity=Severity.ERROR,
            title="The gateway does not start with this configuration",
            saw=str(problem),
            command=command_in(problem.remedy, scene.command("config validate")),
        )


def _drift(scene: Scene) -> Iterator[Finding]:
    running = scene.running
    if running is None or not running.alive:
        return
    who = f"the running gateway (pid {running.pid})"
    file = scene.loaded.path if scene.loaded is not None else scene.paths.config_path
    if running.config_path is not None and not _same(running.config_path, str(file)):
        yield Finding(
            id="config-other-file",
            severity=Severity.WARNING,
            title="The running gateway uses another configuration file than commands here do",
            saw=f"{who} uses {running.config_path}, this command {file}",
            command=f"export OPENCLAW_CONFIG_PATH={shlex.quote(running.config_path)}",
        )
        return
    loaded = scene.loaded
    if loaded is None or scene.lost is not None:
        return  # it keeps what it has until the file is mended
    if running.config_digest is not None and running.config_digest != loaded.digest:
        yield Finding(
            id="config-drift",
            severity=Severity.WARNING,
            title="The running gateway has not taken the configuration file in",
            saw=f"{who} works with another text than {file} holds now",
            command=scene.command("gateway reload"),
        )
    yield from _secret(scene, running, who)


def _secret(scene: Scene, running: Running, who: str) -> Iterator[Finding]:
    """Yield that commands here do not find the secret that the running gateway asks for."""
    secret = scene.auth.secret if scene.auth is not None else None
    if scene.auth is None or running.secret_fingerprint is None:
        return
    here = None if secret is None else secret_fingerprint(secret.value)
    if here == running.secret_fingerprint:
        return
    source = running.secret_source or ""
    aside = source.startswith(("env ", "--"))  # nothing that a restart or the file would change
    kept = f"config set gateway.auth.{running.auth_mode} --from-file FILE"
    command = scene.command(kept if aside else "gateway restart")
    origin = f"from {source}, " if aside else ""
    theirs = f"{who} has the one {origin}with fingerprint {running.secret_fingerprint}"
    if secret is not None:
        yield Finding(
            id="secret-differs",
            severity=Severity.WARNING,
            title="The running gateway asks for another secret than commands here would show",
            saw=f"{theirs}, and {secret.source} has {here}",
            command=command,
        )
    elif aside:
        yield Finding(
            id="secret-elsewhere",
            severity=Severity.INFO if _has_own_token(scene) else Severity.WARNING,
            title="Commands here do not find the secret that the running gateway asks for",
            saw=f"{theirs}, and neither the configuration nor a variable here names it",
            command=command,
        )


def _has_own_token(scene: Scene) -> bool:
    """Tell whether commands here are let in without the secret, as a paired device."""
    folder = scene.paths.identity_dir
    with contextlib.suppress(StoreError):
        identity = known_identity(folder)
        if identity is not None:
            return TokenCache(folder, identity.device_id).get("operator") is not None
    return False


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one == other
