"""The two roads to the devices: the gateway while it answers, else the files it works on.

Rule: `list`, `show`, `approve` and `reject` go on to the files of this machine by themselves, and
say so. What takes something away never does: it fails, and names `--offline`. A clear answer of
the gateway is never second-guessed.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import define

from cli.failures import CallError, GatewayRefusedError, GatewayUnreachableError
from cli.output import note, printable
from cli.place import TIMEOUT_MS, URL_VARIABLE, Place, TargetOptions, place
from stores.errors import ConfigError, StoreError, UnknownRequestError, UsageError, UserFacingError

if TYPE_CHECKING:
    from cli.offline import Files
    from cli.road import Road

F = TypeVar("F", bound=Callable[..., Any])

#: What the WebSocket may take where the files can answer too, so that both fit in 2 s.
SHORT_TIMEOUT_MS = 1_200
#: What the look may take that goes before a change: a gateway that is stuck is told soon.
LOOK_TIMEOUT_MS = 3_000
LIST = "device.pair.list"
NODE_LIST = "node.list"

offline_option = click.option(
    "--offline", is_flag=True, help="Work on the files at once, without asking the gateway."
)


class _FallBack(Exception):  # noqa: N818  # no error yet: the files may still answer
    """The gateway cannot help, and the files of this machine may stand in.

    Args:
        credential: Where a secret that it refused came from, in words.
    """

    def __init__(
        self, error: UserFacingError, *, asked: bool = False, credential: str = ""
    ) -> None:
        super().__init__(error.problem)
        self.error = error
        self.asked = asked
        self.credential = credential
        cause = error.cause if isinstance(error, CallError) else error
        self.answered = isinstance(cause, GatewayRefusedError)
        # then who holds the port on this machine is not the gateway that answered
        self.passed_on = isinstance(cause, GatewayRefusedError) and cause.comes_from_elsewhere


@define(eq=False)
class DeviceRoad:
    """The way to the devices that a command's words ask for; one that led on is stayed on.

    Args:
        falls_back: Whether the files may stand in for a gateway that does not help.
        road: The gateway that answered last.
        folders: Which stores of the state directory are worked on.
        lister: The command that shows what became of a request.
    """

    options: TargetOptions
    offline: bool = False
    falls_back: bool = True
    road: Road | None = None
    folders: tuple[str, ...] = ("devices",)
    lister: str = "openclaw devices list"
    _files: Files | None = None

    def list(self) -> dict[str, Any]:
        """Return the list of devices, with ``source`` and ``store``."""
        return self.ask(LIST, {}, lambda files: files.list())

    def list_of_gateway(self) -> dict[str, Any]:
        """Return the list of the gateway alone, for who asked that one before.

        Raises:
            UserFacingError: it does not help now.
        """
        try:
            return self._from_gateway(LIST, {})
        except _FallBack as fall_back:
            raise fall_back.error from None

    def ask(
        self,
        method: str,
        params: Mapping[str, Any],
        in_files: Callable[[Files], dict[str, Any]],
    ) -> dict[str, Any]:
        """Return the answer of the gateway, or of the files, with ``source`` and ``store``."""
        if self.offline and self.options.url is not None:
            raise UsageError(
                "--offline works on the files of this machine, --url names another gateway",
                remedy="leave one of them out",
            )
        if self.offline or self._files is not None:
            return _told(self.open_files(), in_files)
        from cli.offline import owner_of  # late, as the next one: it opens no store

        owner_of(place())  # root becomes that user before it looks at a file of theirs
        try:
            return self._from_gateway(method, params)
        except _FallBack as fall_back:
            if not self.falls_back:
                raise self._with_offline(fall_back) from fall_back.error
            try:
                return _told(self.open_files(because=fall_back), in_files)
            except UnknownRequestError as error:
                if fall_back.asked:
                    raise _perhaps_done(error, self.lister) from error
                if _store_failed(
                    fall_back
                ):  # it may have been decided before a file could not follow
                    note(f"note: {printable(error.problem)}")
                    raise fall_back.error from None
                raise
            except StoreError as error:
                if _is_better(error, fall_back):
                    self._tell_once(fall_back)
                    raise
                if not _said_by_gateway(error, fall_back):
                    note(f"note: {printable(error.problem)}")
                    if error.remedy is not None:
                        note(printable(f"      {error.remedy}"))
                raise fall_back.error from None

    def _tell_once(self, fall_back: _FallBack) -> None:
        """Say why the gateway was not asked, unless that was told when the files were opened."""
        if self._files is None:
            note(printable(fall_back.error.problem))

    def _from_gateway(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        from cli.road import ask, find_road  # late: offline commands need neither

        here = place()
        elsewhere = _named_elsewhere(self.options, here)
        try:
            road = find_road(self.options)
        except ConfigError as error:
            if elsewhere:
                raise
            raise _FallBack(error) from error
        local = road.target.is_local_default and not elsewhere
        usual_ms = TIMEOUT_MS
        if local and self.falls_back:
            usual_ms = SHORT_TIMEOUT_MS
        elif local and method in (LIST, NODE_LIST):
            usual_ms = LOOK_TIMEOUT_MS
        wait_ms = self.options.timeout_ms or usual_ms
        try:
            answer = ask(road, method, params, timeout_s=wait_ms / 1000)
        except CallError as error:
            cause = error.cause
            clear = isinstance(cause, GatewayRefusedError) and not cause.refuses_us
            if clear or not local:
                raise
            asked = isinstance(cause, GatewayUnreachableError) and cause.asked
            credential = ""
            if isinstance(cause, GatewayRefusedError):
                from cli.refused_here import credential_in_words  # late: only failures need it

                credential = credential_in_words(cause, road, typed())
            raise _FallBack(error, asked=asked, credential=credential) from error
        self.road = road
        payload = answer.payload if isinstance(answer.payload, dict) else {}
        return {**payload, "source": "gateway"} | _store_of(answer.hello, local=local)

    def open_files(self, *, because: _FallBack | None = None) -> Files:
        """Open the files of this machine, once, and say which and why.

        Raises:
            StoreError: they are not to be trusted, or not those of the gateway that runs.
        """
        if self._files is not None:
            return self._files
        from cli.offline import (  # late: while the gateway answers, nobody opens the store
            open_files,
            refuse_wrong_store,
        )

        files = open_files(place(), self.folders)
        if because is None:
            note(printable(f"Using the local state in {files.in_words}"))
            refuse_wrong_store(files, typed())
        else:
            if not because.passed_on:
                refuse_wrong_store(files, typed())
            if because.answered and not files.served:
                # The gateway of a container behind a published port, or of another profile: what
                # is in these files says nothing about the device it was asked about.
                raise _NotItsFilesError(
                    f"no gateway runs on the local state in {files.directory}, so the one that "
                    "answered works on others"
                )
            why = because.error.problem.partition("; looked for ")[0]
            if because.credential:
                why += f"; {because.credential}"
            note(printable(f"{why}; using the local state in {files.in_words}"))
        self._files = files
        return files

    def _with_offline(self, fall_back: _FallBack) -> UserFacingError:
        """Return why the gateway did not help, with the command that does without it."""
        from cli.offline import WrongStoreError, open_files, refuse_wrong_store  # late: see above

        error = fall_back.error
        cause = error.cause if isinstance(error, CallError) else error
        files = open_files(place())
        try:
            if not fall_back.passed_on:
                refuse_wrong_store(files, typed())
        except WrongStoreError as wrong:
            if _is_better(wrong, fall_back):
                note(printable(error.problem))
                return wrong
            return error
        if fall_back.answered and not files.served:
            return error
        command = f"`{typed()} --offline`"
        if isinstance(cause, GatewayRefusedError) and "remedy" in cause.details:
            note(f"Nothing was changed. To change the files of this machine instead: {command}")
            return error
        way = f"to change the files of this machine instead, {command}"
        error.remedy = cause.remedy = way if cause.remedy is None else f"{cause.remedy}; {way}"
        return error


class _NotItsFilesError(StoreError):
    """The gateway that answered works on other files."""


def _is_better(error: StoreError, fall_back: _FallBack) -> bool:
    """Tell whether what is wrong with the files explains why the gateway did not help."""
    from cli.offline import WrongStoreError  # late: see above

    if not isinstance(fall_back.error, CallError):
        return True  # no gateway was asked: the configuration is as little ours to read
    return isinstance(error, WrongStoreError) and fall_back.error.kind != "transport"


def _store_failed(fall_back: _FallBack) -> bool:
    """Tell whether the gateway would have done it, had its files let it."""
    cause = fall_back.error.cause if isinstance(fall_back.error, CallError) else None
    return isinstance(cause, GatewayRefusedError) and cause.code == "UNAVAILABLE"


def _said_by_gateway(error: StoreError, fall_back: _FallBack) -> bool:
    """Tell whether the gateway named the same trouble with the same files."""
    cause = fall_back.error.cause if isinstance(fall_back.error, CallError) else None
    return isinstance(cause, GatewayRefusedError) and error.problem[1:] in str(cause.details)


def _named_elsewhere(options: TargetOptions, here: Place) -> bool:
    if options.url is None and not here.env.get(URL_VARIABLE, "").strip():
        return False
    from stores.own_gateway import own_port  # late: it brings the configuration along

    return own_port(options.url, here.env, here.paths) is None


def _told(files: Files, in_files: Callable[[Files], dict[str, Any]]) -> dict[str, Any]:
    try:
        answer = in_files(files)
    except UserFacingError as error:
        error.problem = files.as_known(error.problem)
        shut = isinstance(error, StoreError) and os.strerror(errno.EACCES) in error.problem
        remedy = files.give_back() if shut else None
        remedy = error.remedy if remedy is None else remedy
        error.remedy = None if remedy is None else files.as_known(remedy)
        raise
    return answer | {"source": "files", "store": str(files.directory)}


def _store_of(hello: Mapping[str, Any], *, local: bool) -> dict[str, str]:
    """Return the store a gateway works on, as far as it says so."""
    snapshot = hello.get("snapshot")
    state_dir = snapshot.get("stateDir") if isinstance(snapshot, dict) else None
    if isinstance(state_dir, str):
        return {"store": f"{state_dir}/devices"}
    return {"store": str(place().paths.devices_dir)} if local else {}


def typed() -> str:
    """Return the running command as it can be typed again: all that narrows it, and no secret."""
    context: click.Context | None = click.get_current_context()
    words = list[str]()
    while context is not None:
        words = [context.info_name or "openclaw", *_typed_in(context), *words]
        context = context.parent
    return printable(" ".join(words))


def beside(verb: str, group: str = "devices") -> str:
    """Return another command of a group for the gateway of the running one, to be copied."""
    context = click.get_current_context(silent=True)
    if context is None:  # whoever prints it is no command
        return f"openclaw {group} {verb}"
    root = context.find_root()
    words = [root.info_name or "openclaw", *_typed_in(root), group, verb]
    url = context.params.get("url")
    return printable(" ".join(words if url is None else [*words, "--url", shlex.quote(url)]))


def _typed_in(context: click.Context) -> list[str]:
    """Return the options and arguments that a person gave to one command of the line."""
    words = list[str]()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in _NOT_AGAIN or context.get_parameter_source(name) is not _TYPED:
            continue
        value = context.params.get(name)
        option = [parameter.opts[0]] if isinstance(parameter, click.Option) else []
        if value is True:
            words += option
            continue
        for one in value if isinstance(value, tuple | list) else (value,):
            words += [*option, shlex.quote(str(one))]
    return words


_TYPED = click.core.ParameterSource.COMMANDLINE
#: Where the gateway is and how to get in, which the files ask for as little as for a printed form.
_NOT_AGAIN = frozenset({"url", "token", "password", "token_file", "password_file", "timeout_ms"})
_NOT_AGAIN |= {"tls_fingerprint", "offline", "as_json"}


def _perhaps_done(error: UnknownRequestError, lister: str) -> UnknownRequestError:
    """Explain a request that is gone after the gateway was asked and did not answer in time."""
    return UnknownRequestError(
        f"{error.problem}; the gateway had been asked and may have decided it before",
        remedy=f"see what became of it with `{lister}`",
        wire_message=error.wire_message,
    )


def without_store(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer as the commands that decide print it."""
    return {key: value for key, value in answer.items() if key != "store"}


def items_of(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the list of objects under a key, whatever else stands there."""
    items = answer.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
