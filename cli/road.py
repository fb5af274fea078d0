"""The road to a gateway: which one, with what secret, as which device; and one call over it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import field, frozen

from cli.failures import About, CallError, Failure, GatewayRefusedError, GatewayUnreachableError
from cli.output import note
from stores.errors import StoreError, UserFacingError
from stores.paths import Paths, resolve_paths

if TYPE_CHECKING:
    from cli.client import Answer
    from stores.config.load import LoadedConfig
    from stores.credentials import ClientCredentials
    from stores.target import Target

F = TypeVar("F", bound=Callable[..., Any])

#: What published commands wait, ms.
TIMEOUT_MS = 10_000
URL_VARIABLE = "OPENCLAW_GATEWAY_URL"


@frozen
class Place:
    """Where a command runs: its environment and the options in front of its name."""

    env: Mapping[str, str]
    profile: str | None = None
    dev: bool = False

    @property
    def paths(self) -> Paths:
        """Where the files of this machine's gateway are."""
        return resolve_paths(self.env, profile=self.profile, dev=self.dev)


def place() -> Place:
    """Return the place of the running command."""
    found = click.get_current_context().find_object(Place)
    return found if found is not None else Place(os.environ)


@frozen(kw_only=True)
class TargetOptions:
    """The words of a command that say which gateway, and with what secret."""

    url: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    password_file: Path | None = None
    timeout_ms: int | None = None
    as_json: bool = False


_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    click.option(
        "--timeout",
        "timeout_ms",
        type=click.IntRange(1, 3_600_000),
        metavar="MS",
        help=f"Wait this long for the gateway, in ms ({TIMEOUT_MS}).",
    ),
    click.option("--password-file", type=_FILE, metavar="FILE", help="Read the password from FILE."),
    click.option("--token-file", type=_FILE, metavar="FILE", help="Read the token from FILE."),
    click.option("--password", metavar="TEXT", help="Password; visible to all users of the machine."),
    click.option("--token", metavar="TEXT", help="Token; visible to all users of the machine."),
    click.option("--url", metavar="URL", help="Gateway to call, instead of the configured one."),
)


def target_options(command: F) -> F:
    """Give a command the options every call takes, as one argument ``options``."""

    def gathered(*args: Any, **words: Any) -> Any:
        names = ("url", "token", "password", "token_file", "password_file", "timeout_ms", "as_json")
        options = TargetOptions(**{name: words.pop(name) for name in names})
        return command(*args, options=options, **words)

    wrapped: Any = gathered
    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = list(getattr(command, "__click_params__", ()))
    for option in _OPTIONS:
        wrapped = option(wrapped)
    result: F = wrapped
    return result


@frozen(kw_only=True)
class Road:
    """A gateway to call, judged safe to call, and what may be shown to it."""

    place: Place
    loaded: LoadedConfig
    target: Target
    credentials: ClientCredentials
    secret_by_flag: bool

    @property
    def about(self) -> About:
        """What failures say of the gateway."""
        local = self.target.is_local_default
        return About(
            url=self.target.url,
            url_source=self.target.source,
            config_path=str(self.loaded.path),
            bind=str(self.loaded.config.gateway.bind) if local else None,
            credential_source=self.credentials.source,
        )


def find_road(options: TargetOptions) -> Road:
    """Decide which gateway to call and with what.

    Raises:
        UserFacingError: the configuration cannot be used, the words contradict each other, or
            the secret would cross a network in clear.
    """
    # late, all of it: offline commands need neither configuration nor credentials
    from stores.config.load import load_config
    from stores.credentials import AuthFlags, resolve_client_credentials
    from stores.target import refuse_plaintext, resolve_target

    here = place()
    paths = here.paths
    loaded = load_config(paths, here.env)
    target = resolve_target(
        loaded, here.env, url=options.url, default_port=paths.default_port
    )
    flags = AuthFlags(
        token=options.token,
        token_file=options.token_file,
        password=options.password,
        password_file=options.password_file,
    )
    credentials = resolve_client_credentials(loaded, here.env, target, flags)
    for warning in credentials.warnings:
        note(f"warning: {warning}")
    road = Road(
        place=here,
        loaded=loaded,
        target=refuse_plaintext(target),
        credentials=credentials,
        secret_by_flag=flags != AuthFlags(),
    )
    return road


def ask(road: Road, method: str, params: Any = None, *, timeout_s: float) -> Answer:
    """Call a method of the gateway at the end of a road.

    Raises:
        CallError: it failed; the cause and the gateway are named.
    """
    try:
        return _ask(road, method, params, timeout_s=timeout_s)
    except UserFacingError as error:
        raise CallError(_with_remedy(error, road), road.about) from error


def _ask(road: Road, method: str, params: Any, *, timeout_s: float) -> Answer:
    from cli.client import ROLE, Presented, call  # late: see `find_road`
    from stores.credentials import refuse_without_credentials
    from stores.identity import CachedToken, TokenCache, open_identity

    paths, now_ms = road.place.paths, time.time_ns() // 1_000_000
    identity = open_identity(paths.identity_dir, now_ms=now_ms)
    elsewhere = None if road.target.is_local_default else road.target.url
    cache = TokenCache(paths.identity_dir, identity.device_id, elsewhere)
    kept = cache.get(ROLE)
    credentials = road.credentials
    refuse_without_credentials(credentials, road.target, device_token=kept is not None)
    shared = Presented(
        token=credentials.token.value if credentials.token else None,
        password=credentials.password.value if credentials.password else None,
    )
    own = None if kept is None else Presented(device_token=kept.token)
    presented = own if own is not None and credentials.source is None else shared
    deadline = time.monotonic() + timeout_s
    try:
        answer = call(road.target, presented, identity, method, params, timeout_s=timeout_s)
    except GatewayRefusedError as error:
        if kept is not None and error.details.get("code") == "AUTH_DEVICE_TOKEN_MISMATCH":
            with contextlib.suppress(StoreError):
                cache.forget(kept)
        if own is None or presented is own or not _own_token_may_do(error, road):
            raise
        left_s = max(0.1, deadline - time.monotonic())
        answer = call(road.target, own, identity, method, params, timeout_s=left_s)
        note(
            f"note: the gateway refused the secret from {credentials.source}; "
            "this device's own token was used instead"
        )
    issued = answer.auth.get("deviceToken")
    if isinstance(issued, str) and issued:
        scopes = answer.auth.get("scopes")
        named = tuple(str(scope) for scope in scopes) if isinstance(scopes, list) else ()
        with contextlib.suppress(StoreError):  # the answer is worth more than the copy
            cache.save(CachedToken(issued, ROLE, named, now_ms))
    return answer


def _own_token_may_do(error: GatewayRefusedError, road: Road) -> bool:
    """Tell whether a stale shared secret was refused that nobody insisted on."""
    retry = error.details.get("canRetryWithDeviceToken") is True
    return retry and not error.admitted and not road.secret_by_flag


def _with_remedy(error: UserFacingError, road: Road) -> UserFacingError:
    """Add what only this machine knows: how to start its gateway, and who else holds the port."""
    if error.remedy is not None or not isinstance(error, GatewayUnreachableError):
        return error
    how = error.how
    if not road.target.is_local_default:
        error.remedy = "check the address, and that the gateway runs there"
        return error
    if how is Failure.REFUSED:
        error.remedy = "start the gateway with `openclaw gateway run`"
    else:
        error.remedy = "see what holds the port, and what the gateway's log in "
        error.remedy += f"{road.place.paths.logs_dir} says"
    _name_holder(error, road.target.port)
    return error


def _name_holder(error: GatewayUnreachableError, port: int) -> None:
    from stores.port_owner import port_owner  # late: only failures need it

    owner = port_owner(port)
    if owner is not None:
        on = "on another address " if error.how is Failure.REFUSED else ""
        error.problem += f"; {on}the port is held by {owner.in_words()}"
        error.details["portHolder"] = {"uid": owner.uid, "pid": owner.pid}
