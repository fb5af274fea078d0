"""The road to a gateway: which one, with what secret, as which device; and one call over it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from cli.failures import About, CallError, Failure, GatewayRefusedError, GatewayUnreachableError
from cli.output import note, printable
from cli.place import Place, TargetOptions, place
from cli.progress import progress
from stores.config.in_use import Why, config_in_use
from stores.credentials import (
    AuthFlags,
    ClientCredentials,
    CredentialsRequiredError,
    refuse_without_credentials,
    resolve_client_credentials,
)
from stores.errors import StoreError, UserFacingError
from stores.identity import CachedToken, TokenCache, open_identity
from stores.own_gateway import as_it_serves, own_port
from stores.running import Running, Standing, read_running
from stores.target import (
    ALLOW_PRIVATE_VARIABLE,
    PORT_FLAG,
    Target,
    is_loopback,
    pinned_by_flag,
    refuse_plaintext,
    resolve_port,
    resolve_target,
)

if TYPE_CHECKING:
    from cli.client import Answer
    from stores.config.load import LoadedConfig

#: A process that is stopped is given time to go on by itself, as under a debugger, and no more.
STOPPED_WITHIN_S = 0.3


@frozen(kw_only=True)
class Road:
    """A gateway to call, judged safe to call, and what may be shown to it.

    Args:
        why: Why not the file but what the running gateway took in was loaded, if so.
    """

    place: Place
    loaded: LoadedConfig
    why: Why | None = None
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
            not_used=(*self.credentials.losing, *self._port_not_used()),
        )

    def _port_not_used(self) -> tuple[str, ...]:
        if not self.target.is_local_default:
            return ()
        paths = self.place.paths
        return resolve_port(self.loaded, self.place.env, default=paths.default_port).losing


def find_road(options: TargetOptions, *, port: int | None = None) -> Road:
    """Decide which gateway to call and with what.

    Args:
        port: Where this machine's gateway is known to listen, whatever its configuration says.

    Raises:
        UserFacingError: the configuration cannot be used, the words contradict each other, or
            the secret would cross a network in clear.
    """
    here = place()
    paths = here.paths
    loaded, why = _configuration(here)
    named = own_port(options.url, here.env, paths) if port is None else None
    target = resolve_target(
        loaded, here.env, url=options.url, port=port or named, default_port=paths.default_port
    )
    if port is not None and target.is_local_default:
        said = f"loopback, port of the running gateway in {paths.lock_path}"
        target = evolve(target, source=said)
    if target.is_local_default:
        target = as_it_serves(target, loaded, here.env, paths)
    if options.tls_fingerprint is not None:
        target = pinned_by_flag(target, options.tls_fingerprint)
    flags = AuthFlags(
        token=options.token,
        token_file=options.token_file,
        password=options.password,
        password_file=options.password_file,
    )
    credentials = resolve_client_credentials(loaded, here.env, target, flags)
    for warning in credentials.warnings:
        note(f"warning: {warning}")
    return Road(
        place=here,
        loaded=loaded,
        why=why,
        target=_safe(target, here),
        credentials=credentials,
        secret_by_flag=flags != AuthFlags(),
    )


def _configuration(here: Place) -> tuple[LoadedConfig, Why | None]:
    """Load the configuration; of a gateway that runs with another text, what it took in.

    Raises:
        ConfigError: the file cannot be used, and nothing that runs tells more.
    """
    paths = here.paths
    found = config_in_use(paths, here.env, read_running(paths.state_dir))
    loaded = found.usable()
    if found.why is None:
        return loaded, None
    problem = found.problem or found.said
    assert isinstance(problem, UserFacingError)
    known = "what the running gateway took in before" if found.why is Why.INVALID else "that"
    asked = f"; this asks with {known}" if found.runs else ""
    remedy = found.problem.remedy if found.problem else None
    if remedy is not None:
        from cli.device_road import typed  # late, both: only then
        from cli.whose import in_full

        asked += f"; {in_full(remedy, typed(), here.env)}"
    note(printable(f"warning: {problem.problem}{asked}", limit=1_000))
    return loaded, found.why


def _safe(target: Target, here: Place) -> Target:
    """Refuse to send secrets in clear; where that is allowed, say it every time."""
    safe = refuse_plaintext(target, here.env)
    if not (safe.secure or is_loopback(safe.dial_host)):
        note(
            f"warning: {safe.url} is not encrypted, and {ALLOW_PRIVATE_VARIABLE} lets it be: "
            "everybody on that network can read the secret"
        )
    return safe


def ask(road: Road, method: str, params: Any = None, *, timeout_s: float) -> Answer:
    """Call a method of the gateway at the end of a road.

    Raises:
        CallError: it failed; the cause and the gateway are named.
    """
    if _stopped(road) is not None:
        timeout_s = min(timeout_s, STOPPED_WITHIN_S)
    try:
        with progress(f"asking {road.target.url} ({method})"):
            return _ask(road, method, params, timeout_s=timeout_s)
    except UserFacingError as error:
        raise CallError(_with_remedy(error, road), road.about) from error


def _ask(road: Road, method: str, params: Any, *, timeout_s: float) -> Answer:
    from cli.client import ROLE, Presented, call  # late: a road may be refused before it is used

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
        from cli import own_pairing  # late: few gateways ask a proxy

        if own is None and own_pairing.may_pair_itself(error, road):
            issued_here = own_pairing.paired_itself(road, identity, cache)
            if issued_here is None:
                raise
            return own_pairing.call_as_itself(
                road, issued_here, identity, method, params, until=deadline
            )
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


#: What a gateway says to the secret of another mode than its own.
_OF_OLD_MODE = (
    "AUTH_TOKEN_MISMATCH",
    "AUTH_PASSWORD_MISMATCH",
    "AUTH_UNAUTHORIZED",
    "AUTH_IDENTITY_HEADER_REQUIRED",
)


def _own_token_may_do(error: GatewayRefusedError, road: Road) -> bool:
    """Tell whether a stale shared secret was refused that nobody insisted on.

    This machine's own gateway may still run in the mode that its file named before.
    """
    stale = error.details.get("canRetryWithDeviceToken") is True
    of_old_mode = road.target.is_local_default and error.details.get("code") in _OF_OLD_MODE
    return (stale or of_old_mode) and not error.admitted and not road.secret_by_flag


def _with_remedy(error: UserFacingError, road: Road) -> UserFacingError:
    """Add what only this machine knows: how to start its gateway, and who else holds the port."""
    if isinstance(error, CredentialsRequiredError) and road.target.is_local_default:
        error = _name_who_listens(error, road)
    if isinstance(error, GatewayRefusedError):
        from cli.device_road import typed  # late, both: only failures need them
        from cli.refused_here import add_what_is_known

        add_what_is_known(error, road, typed())
    if error.remedy is not None or not isinstance(error, GatewayUnreachableError):
        return error
    how = error.how
    if not road.target.is_local_default:
        error.remedy = (
            "check the address, and that the gateway runs there; "
            f"`openclaw gateway probe --url {road.target.url}` tells which step fails"
        )
        return error
    if how is Failure.REFUSED:
        error.remedy = f"start the gateway with `{_start_command()}`"
        if _name_other_port(error, road):
            return error
    elif how is Failure.TIMEOUT and _name_stopped(error, road):
        return error
    else:
        error.remedy = "see why with `openclaw gateway status`, and what the gateway's log in "
        error.remedy += f"{road.place.paths.logs_dir} says"
    _name_holder(error, road.target.port)
    return error


def _start_command() -> str:
    """Return what starts this machine's gateway: the service, where one is installed."""
    from cli.service.service import service_here  # late: only failures need it

    with contextlib.suppress(UserFacingError, OSError):
        service = service_here()
        if service.path.exists():
            return service.command("gateway start")
    return "openclaw gateway run"


def _name_who_listens(error: CredentialsRequiredError, road: Road) -> UserFacingError:
    """Say what there is to give a credential to: our gateway, one of another user, or nobody.

    Returns:
        The error; where nobody listens, that nobody answers, whatever could have been shown.
    """
    from cli.device_road import typed  # late, all: only failures need them
    from cli.own_secret import name_whereabouts, with_port
    from stores.port_owner import port_owner

    port, running = road.target.port, read_running(road.place.paths.state_dir)
    owner = port_owner(port)
    if running is not None and running.alive and running.port is not None:
        command = typed()
        if running.port == port:
            if name_whereabouts(error, running, road.loaded.path, command):
                return error
        elif owner is None:
            error.problem += f"; {_runs_elsewhere(road, running.port)}"
            told = name_whereabouts(error, running, road.loaded.path, command)
            more = f"; then {error.remedy}" if told else ""
            error.remedy = f"name its port: `{with_port(command, running, road.loaded)}`{more}"
            return error
    if owner is None:
        return GatewayUnreachableError(
            Failure.REFUSED,
            f"nothing listens on port {port} of this machine, and {error.problem}",
            remedy="start the gateway with `openclaw gateway run`, which makes a token, or give one "
            "with `--token-file FILE`",
        )
    error.problem += f"; the port is held by {owner.in_words()}"
    error.remedy = (
        "see whose gateway that is with `openclaw gateway status`, or give its token with "
        "`--token-file FILE`"
    )
    return error


def _stopped(road: Road) -> Running | None:
    """Return this machine's gateway if its process is stopped by a signal, so that it answers nobody."""
    if not road.target.is_local_default:
        return None
    running = read_running(road.place.paths.state_dir)
    if running is None or running.standing is not Standing.STOPPED:
        return None
    return running if running.port == road.target.port else None


def _name_stopped(error: GatewayUnreachableError, road: Road) -> bool:
    running = _stopped(road)
    if running is None:
        return False
    error.problem += f"; the gateway's process (pid {running.pid}) is stopped by a signal"
    error.remedy = f"let it go on with `kill -CONT {running.pid}`"
    error.details["portHolder"] = {"uid": running.uid, "pid": running.pid}
    return True


def _name_other_port(error: GatewayUnreachableError, road: Road) -> bool:
    """Say that this machine's gateway runs, on another port than the one in force here."""
    running = read_running(road.place.paths.state_dir)
    if running is None or not running.alive or running.port in (None, road.target.port):
        return False
    assert running.port is not None
    port = running.port
    error.problem += f"; {_runs_elsewhere(road, port)}"
    error.details["runningPort"] = port
    if road.loaded.config.gateway.port is None or road.why is not None:
        from cli.device_road import typed  # late, both: see above
        from cli.own_secret import with_port

        error.remedy = f"name its port: `{with_port(typed(), running, road.loaded)}`"
    elif running.port_source == PORT_FLAG:
        error.remedy = (
            f"configure the port it has with `openclaw config set gateway.port {port}`, or "
        )
        error.remedy += "start it without `--port`, which a restart keeps"
    else:
        error.remedy = "let it take the configured port with `openclaw gateway restart`, or "
        error.remedy += f"configure the one it has with `openclaw config set gateway.port {port}`"
    return True


def _runs_elsewhere(road: Road, port: int) -> str:
    return f"the gateway of {road.place.paths.state_dir} runs on port {port}"


def _name_holder(error: GatewayUnreachableError, port: int) -> None:
    from stores.port_owner import port_owner  # late: only failures need it

    owner = port_owner(port)
    if owner is not None:
        on = "on another address " if error.how is Failure.REFUSED else ""
        error.problem += f"; {on}the port is held by {owner.in_words()}"
        error.details["portHolder"] = {"uid": owner.uid, "pid": owner.pid}
