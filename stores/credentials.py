"""Which shared secret counts: one resolver for the gateway and for those who call it.

Rule: flag, then configuration, then environment, on both sides; every secret carries the name of
the place it came from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from attrs import field, frozen

from stores.config.load import LoadedConfig
from stores.config.model import AuthMode
from stores.errors import ConfigError, UsageError, UserFacingError
from stores.plain_file import read_regular
from stores.target import Target, Trust

TOKEN_VARIABLE = "OPENCLAW_GATEWAY_TOKEN"
PASSWORD_VARIABLE = "OPENCLAW_GATEWAY_PASSWORD"
#: A secret is a line; what is longer is the wrong file.
MAX_SECRET_FILE_BYTES = 16 * 1024


class SecretKind(StrEnum):
    """The two forms a shared secret has."""

    TOKEN = "token"
    PASSWORD = "password"

    @property
    def variable(self) -> str:
        """Return the environment variable that holds such a secret."""
        return TOKEN_VARIABLE if self is SecretKind.TOKEN else PASSWORD_VARIABLE

    @property
    def file_variable(self) -> str:
        """Return the environment variable that names a file with such a secret."""
        return f"{self.variable}_FILE"


@frozen
class Secret:
    """A shared secret; ``source`` names where it came from, in words for messages."""

    value: str = field(repr=False)
    kind: SecretKind
    source: str


@frozen(kw_only=True)
class AuthFlags:
    """What the command line says about secrets; a file beats a value."""

    mode: AuthMode | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None


NO_FLAGS = AuthFlags()


@frozen(kw_only=True)
class GatewayAuth:
    """What the gateway asks for: a mode, and at most one secret, which is the mode's own.

    ``losing`` has a sentence for each environment variable that is set and does not count,
    ``warnings`` one for each secret that other users of the machine can read.
    """

    mode: AuthMode
    mode_source: str
    token: Secret | None = None
    password: Secret | None = None
    losing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def secret(self) -> Secret | None:
        """Return the secret in force, whichever kind it is."""
        return self.token or self.password


@frozen(kw_only=True)
class ClientCredentials:
    """What a client presents to a target; ``searched`` names the places looked into."""

    token: Secret | None = None
    password: Secret | None = None
    needed: bool = True
    losing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()

    @property
    def source(self) -> str | None:
        """Return where the secret presented came from."""
        secret = self.token or self.password
        return None if secret is None else secret.source


class CredentialsRequiredError(UserFacingError):
    """The target needs a secret and none was found: refused before dialling."""

    kind = "refused"


@frozen
class _Candidate:
    """A place that names a secret, not read yet."""

    kind: SecretKind
    source: str
    value: str | None = field(default=None, repr=False)
    file: Path | None = None
    by_flag: bool = False

    def read(self) -> Secret:
        if self.file is None:
            return Secret(self.value or "", self.kind, self.source)
        return Secret(_read_secret(self), self.kind, self.source)


def resolve_gateway_auth(
    loaded: LoadedConfig, env: Mapping[str, str], flags: AuthFlags = NO_FLAGS
) -> GatewayAuth:
    """Decide what a gateway with this configuration asks for.

    The mode is the flag's, else the configuration's, else that of the first place that names a
    secret, where a password goes before a token; with nothing anywhere it is token.

    Raises:
        UsageError: flags that contradict each other or the mode, or a file of theirs that cannot
            be read.
        ConfigError: a file that the configuration names cannot be read, or is empty.
    """
    by_flag, by_config = list(_from_flags(flags)), list(_from_config(loaded, env))
    by_env = list(_from_env(env))
    mode, source = _mode(loaded, flags, (by_flag, by_config, by_env))
    kind = SecretKind(mode) if mode in (AuthMode.TOKEN, AuthMode.PASSWORD) else None
    for candidate in by_flag:
        if candidate.kind is not kind:
            raise UsageError(
                f"{candidate.source} has no effect, because the auth mode is {mode} ({source})",
                remedy=f"leave it out, or add `--auth {candidate.kind}`",
            )
    chosen = next((c for c in (*by_flag, *by_config, *by_env) if c.kind is kind), None)
    secret = None if chosen is None else chosen.read()
    reason = f"the auth mode is {mode} ({source})"
    return GatewayAuth(
        mode=mode,
        mode_source=source,
        token=secret if kind is SecretKind.TOKEN else None,
        password=secret if kind is SecretKind.PASSWORD else None,
        losing=_losing(by_env, [secret] if secret else [], reason),
        warnings=_warnings(flags),
    )


def resolve_client_credentials(
    loaded: LoadedConfig,
    env: Mapping[str, str],
    target: Target,
    flags: AuthFlags = NO_FLAGS,
) -> ClientCredentials:
    """Find what a client may present to ``target``: never a secret meant for somebody else.

    Raises:
        UsageError, ConfigError: see `resolve_gateway_auth`.
    """
    by_flag = list(_from_flags(flags))
    layers = [by_flag]
    if target.trust is Trust.LOCAL:
        if not by_flag:
            return _local_credentials(loaded, env)
    elif target.trust is Trust.REMOTE:
        layers += [list(_from_remote(loaded)), list(_from_env(env))]
    elif target.trust is Trust.ENVIRONMENT:
        layers += [list(_from_env(env))]
    chosen = [candidate.read() for candidate in next((layer for layer in layers if layer), [])]
    by_kind = {secret.kind: secret for secret in reversed(chosen)}
    return ClientCredentials(
        token=by_kind.get(SecretKind.TOKEN),
        password=by_kind.get(SecretKind.PASSWORD),
        losing=_losing(list(_from_env(env)), chosen, f"the target is {target.source}"),
        warnings=_warnings(flags),
        searched=_places(loaded, target.trust),
    )


def _local_credentials(loaded: LoadedConfig, env: Mapping[str, str]) -> ClientCredentials:
    auth = resolve_gateway_auth(loaded, env)
    return ClientCredentials(
        token=auth.token,
        password=auth.password,
        needed=auth.mode in (AuthMode.TOKEN, AuthMode.PASSWORD),
        losing=auth.losing,
        searched=_places(loaded, Trust.LOCAL),
    )


def secrets_named(
    loaded: LoadedConfig, env: Mapping[str, str], target: Target, flags: AuthFlags = NO_FLAGS
) -> list[tuple[str, Secret]]:
    """Return every secret for ``target`` that some place names, whichever of them counts.

    Returns:
        ``flag``, ``config`` or ``environment``, and the secret; files that cannot be read are
        left out, for `resolve_client_credentials` tells of the one that counts.
    """
    own = target.trust is Trust.LOCAL
    config = _from_config(loaded, env) if own else _from_remote(loaded)
    places = [("flag", _from_flags(flags)), ("environment", _from_env(env))]
    if target.trust in (Trust.LOCAL, Trust.REMOTE):
        places.insert(1, ("config", config))
    found = []
    for place, candidates in places:
        for candidate in candidates:
            with contextlib.suppress(UserFacingError):
                found.append((place, candidate.read()))
    return found


def refuse_without_credentials(
    credentials: ClientCredentials, target: Target, *, device_token: bool
) -> None:
    """Refuse to dial a target that will not let us in.

    Args:
        device_token: Whether a device token for this target is stored.

    Raises:
        CredentialsRequiredError: a secret is needed, and nothing gives one.
    """
    if device_token or credentials.source is not None or not credentials.needed:
        return
    implicit = target.trust is Trust.FLAGS
    reason = ", and secrets of this machine are not sent there" if implicit else ""
    raise CredentialsRequiredError(
        f"no credential for {target.url} ({target.source}){reason}; looked for "
        + ", ".join(credentials.searched),
        remedy="give one with `--token-file FILE`"
        + (f", or name the target in `OPENCLAW_GATEWAY_URL` and set `{TOKEN_VARIABLE}`") * implicit,
    )


def _mode(
    loaded: LoadedConfig, flags: AuthFlags, layers: tuple[list[_Candidate], ...]
) -> tuple[AuthMode, str]:
    if flags.mode is not None:
        return flags.mode, "--auth"
    configured = loaded.config.gateway.auth.mode
    if configured is not None:
        return configured, loaded.where("gateway.auth.mode")
    if len({candidate.kind for candidate in layers[0]}) > 1:
        raise UsageError(
            "a token and a password are both given, and no mode says which one counts",
            remedy="add `--auth token` or `--auth password`",
        )
    for layer in layers:
        for kind in (SecretKind.PASSWORD, SecretKind.TOKEN):
            for candidate in layer:
                if candidate.kind is kind:
                    return AuthMode(kind), f"because of {candidate.source}"
    return AuthMode.TOKEN, "the default"


def _from_flags(flags: AuthFlags) -> Iterator[_Candidate]:
    for kind, value, file in (
        (SecretKind.TOKEN, flags.token, flags.token_file),
        (SecretKind.PASSWORD, flags.password, flags.password_file),
    ):
        if file is not None:
            yield _Candidate(kind, f"--{kind}-file {file}", file=file, by_flag=True)
        elif value is not None:
            if not value.strip():
                raise UsageError(f"--{kind} is empty", remedy=f"give the {kind}, or leave it out")
            yield _Candidate(kind, f"--{kind}", value, by_flag=True)


def _from_config(loaded: LoadedConfig, env: Mapping[str, str]) -> Iterator[_Candidate]:
    auth = loaded.config.gateway.auth
    for kind, value, file in (
        (SecretKind.TOKEN, auth.token, auth.token_file),
        (SecretKind.PASSWORD, auth.password, auth.password_file),
    ):
        if value:
            yield _Candidate(kind, loaded.where(f"gateway.auth.{kind}"), value)
        elif file:
            source = loaded.where(f"gateway.auth.{kind}File")
            yield _Candidate(kind, source, file=loaded.resolve_file(file, env))


def _from_remote(loaded: LoadedConfig) -> Iterator[_Candidate]:
    remote = loaded.config.gateway.remote
    if remote.token:
        yield _Candidate(SecretKind.TOKEN, loaded.where("gateway.remote.token"), remote.token)
    if remote.password:
        source = loaded.where("gateway.remote.password")
        yield _Candidate(SecretKind.PASSWORD, source, remote.password)


def _from_env(env: Mapping[str, str]) -> Iterator[_Candidate]:
    for kind in SecretKind:
        file = env.get(kind.file_variable, "").strip()
        if file:  # how container engines hand over secrets
            yield _Candidate(kind, f"env {kind.file_variable}", file=Path(file))
        value = env.get(kind.variable, "").strip()
        if value:
            yield _Candidate(kind, f"env {kind.variable}", value)


def _losing(by_env: list[_Candidate], chosen: list[Secret], reason: str) -> tuple[str, ...]:
    """Say of each variable that is set and not used why; one that says the same is not losing."""
    losing = []
    for candidate in by_env:
        if any(candidate.source == s.source or candidate.value == s.value for s in chosen):
            continue
        winner = next((s.source for s in chosen if s.kind is candidate.kind), None)
        why = f"{winner} goes before it" if winner else reason
        losing.append(f"{candidate.source} is set but not used: {why}")
    return tuple(losing)


def _warnings(flags: AuthFlags) -> tuple[str, ...]:
    given = [("token", flags.token), ("password", flags.password)]
    return tuple(
        f"--{name} on the command line can be read by every user of this machine; "
        f"use `--{name}-file FILE`"
        for name, value in given
        if value is not None
    )


def _places(loaded: LoadedConfig, trust: Trust) -> tuple[str, ...]:
    flags = "--token and --token-file (or --password, --password-file)"
    env = f"env {TOKEN_VARIABLE} (or {PASSWORD_VARIABLE})"
    by_trust = {
        Trust.LOCAL: (flags, loaded.where("gateway.auth.token"), env),
        Trust.REMOTE: (flags, loaded.where("gateway.remote.token"), env),
        Trust.ENVIRONMENT: (flags, env),
        Trust.FLAGS: (flags,),
    }
    return (*by_trust[trust], "a device token of this machine")


def _read_secret(candidate: _Candidate) -> str:
    error: type[UserFacingError] = UsageError if candidate.by_flag else ConfigError
    file = candidate.file
    assert file is not None
    try:
        if candidate.by_flag:  # may be a pipe that the shell made, `<(…)`, or endless
            with file.open("rb") as opened:
                data = opened.read(MAX_SECRET_FILE_BYTES + 1)
        else:
            data = read_regular(file)
    except ConfigError as failure:
        problem = f"{candidate.source}: {failure.problem}"
        raise ConfigError(problem, remedy=failure.remedy) from None
    except OSError as failure:
        raise error(
            f"{candidate.source}: cannot read {file}: {failure.strerror or failure}",
            remedy=f"look at it with `ls -l {file}`",
        ) from failure
    try:
        value = data.decode().strip()
    except UnicodeDecodeError:
        value = ""
    if not value or len(data) > MAX_SECRET_FILE_BYTES or not value.isprintable():
        raise error(
            f"{candidate.source}: {file} does not hold a {candidate.kind} on one line",
            remedy=f"write the {candidate.kind} into it, and nothing else",
        )
    return value
