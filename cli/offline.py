"""The other road: the device store itself, with the authority of who may open its folder.

Rule: root becomes the owner of the state directory before it looks at a file in it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import field, frozen

from cli.device_table import wall_ms
from cli.output import note, printable
from cli.place import Place
from stores.devices import DeviceStore, PairingLimits
from stores.errors import ConfigError, StoreError
from stores.listing import listing, paired_item
from stores.owner import Owner, refuse_open_folder, take_ownership, will_become
from stores.plain_file import read_regular
from stores.records import DeviceBook
from stores.timespan import in_words
from stores.transition import Caller

if TYPE_CHECKING:
    from stores.config.model import Config
    from stores.decisions import Transition
    from stores.nodes import NodeRequest
    from stores.serving import Serving

TTL_KEY = "requestTtlMs"
PORT_KEY = "port"
#: Its text then has a meaning that only the whole loader knows.
_NEEDS_LOADER = ("$include", "\\u", "\\x")
_OWNER = "openclaw.owner"


class WrongStoreError(StoreError):
    """These files are not those of the gateway that runs."""


@frozen
class Files:
    """The device store of this machine's gateway, opened by a command.

    Args:
        state_dir: As the user knows it; the store may be reached by another path.
        owner: Whose it is, None while there is none.
        folders: Which stores in it the command works on.
    """

    store: DeviceStore
    here: Place
    state_dir: Path
    owner: Owner | None = None
    folders: tuple[str, ...] = ("devices",)
    _warned: set[str] = field(factory=set)
    _known_surfaces: list[NodeRequest] = field(factory=list)

    @property
    def reached(self) -> Path:
        """Where the state directory is opened."""
        return self.state_dir if self.owner is None else self.owner.reached

    @property
    def served(self) -> bool:
        """Tell whether a gateway runs on this store, or died on it: one that stops takes its note."""
        lock = self.reached / "gateway.lock"
        marker = lock.with_name(f"{lock.name}.held")
        return any(file.is_file() and file.stat().st_size for file in (lock, marker))

    @property
    def directory(self) -> Path:
        """The folder of the store, as the user knows it."""
        return self.state_dir / "devices"

    @property
    def in_words(self) -> str:
        """Where the store is and whose it is."""
        where = " and ".join(str(self.state_dir / folder) for folder in self.folders)
        if self.owner is None:
            return where
        became = ", working as that user" if self.owner.became else ""
        return f"{where} (of user {self.owner.name}{became})"

    def as_known(self, text: str) -> str:
        """Return a text with paths as the user knows them, however they were reached."""
        return text.replace(str(self.reached), str(self.state_dir))

    def give_back(self) -> str | None:
        """Return how to give files to their owner that a command of somebody else left in the store."""
        if self.owner is None:
            return None
        try:
            inside = sorted(os.scandir(self.reached / "devices"), key=lambda one: one.name)
            lost = [
                one for one in inside if one.stat(follow_symlinks=False).st_uid != self.owner.uid
            ]
        except OSError:
            return None
        if not lost:
            return None
        paths = " ".join(_quoted(self.directory / one.name) for one in lost)
        group = os.stat(self.reached).st_gid
        return (
            f"give back what is not its owner's: `sudo chown -h {self.owner.uid}:{group} {paths}`"
        )

    def list(self) -> dict[str, Any]:
        """Return the list of devices as `stores.listing` builds it.

        Raises:
            StoreError: a file exists and cannot be read, and no copy says what it holds.
        """
        try:
            book = self._book()
        except StoreError:
            if not self.store.known:
                raise
            self._warn()  # to look, what is known is enough
            book = self.store.book
        now_ms = wall_ms()
        ttl_ms, surfaces = self.store.limits.ttl_ms, self._surfaces(now_ms)
        return dict(listing(book, now_ms=now_ms, ttl_ms=ttl_ms, surfaces=surfaces))

    def _surfaces(self, now_ms: int) -> Collection[NodeRequest]:
        """Return what waits of nodes; where that cannot be read, what was known of it last."""
        folder = self.reached / "nodes"
        if not os.path.lexists(folder / "pending.json"):
            return ()
        from stores.node_store import NodeStore  # late: few machines have nodes

        try:
            self._known_surfaces[:] = NodeStore(folder).read(now_ms=now_ms).pending.values()
        except StoreError as error:
            if error.problem not in self._warned:
                self._warned.add(error.problem)
                note(f"note: {printable(self.as_known(error.problem))}")
        return self._known_surfaces

    def approve(self, reference: str) -> dict[str, Any]:
        """Approve a pending request; answer ``{requestId, device}``.

        Raises:
            UnknownRequestError: nothing pending answers to ``reference``.
            StoreError: the files cannot be read, locked or written.
        """
        self.changing()
        item, device = self.store.approve(reference, caller=self.caller, now_ms=wall_ms())
        kept = self.store.book.notes.get(device.device_id)
        shown = paired_item(device, kept, False)
        return {"requestId": item.request_id, "device": shown}

    def reject(self, reference: str) -> dict[str, Any]:
        """Reject a pending request; answer ``{requestId, deviceId}``.

        Raises:
            UnknownRequestError, StoreError: see `approve`.
        """
        self.changing()
        item = self.store.reject(reference, caller=self.caller, now_ms=wall_ms())
        return {"requestId": item.request_id, "deviceId": item.device_id}

    def remove(self, device_id: str) -> dict[str, Any]:
        """Forget a device; answer ``{deviceId}``."""
        self.changing()
        device = self.store.remove(device_id, caller=self.caller, now_ms=wall_ms())
        return {"deviceId": device.device_id}

    def rename(self, device_id: str, label: str) -> dict[str, Any]:
        """Give a device a name; answer ``{deviceId, label}``."""
        self.changing()
        named = self.store.rename(device_id, label, caller=self.caller, now_ms=wall_ms())
        return {"deviceId": device_id, "label": named}

    def block(self, device_id: str, *, blocked: bool) -> dict[str, Any]:
        """Block a device or let it ask again; answer ``{deviceId}``."""
        self.changing()
        decide = self.store.block if blocked else self.store.unblock
        return {"deviceId": decide(device_id, caller=self.caller, now_ms=wall_ms())}

    def rotate(self, device_id: str, role: str, scopes: Sequence[str] | None) -> dict[str, Any]:
        """Replace a token; the answer holds it only for the one device that is this machine's."""
        self.changing()
        device, token = self.store.rotate(
            device_id, role, scopes=scopes, caller=self.caller, now_ms=wall_ms()
        )
        own = device.device_id == self.own_device_id
        return {
            "deviceId": device.device_id,
            "role": token.role,
            "scopes": list(token.scopes),
            "rotatedAtMs": token.rotated_at_ms,
            "tokenDelivery": "in-band" if own else "withheld-cross-device",
        } | ({"token": token.token} if own else {})

    def revoke(self, device_id: str, role: str) -> dict[str, Any]:
        """Kill a token; answer ``{deviceId, role, revokedAtMs}``."""
        self.changing()
        token = self.store.revoke(device_id, role, caller=self.caller, now_ms=wall_ms())
        return {"deviceId": device_id, "role": token.role, "revokedAtMs": token.revoked_at_ms}

    def apply(self, transition: Transition) -> Any:
        """Make a transition durable and return its result; see the transition."""
        self.changing()
        return self.store.one(transition, now_ms=wall_ms())

    def clear(self, *, pending: bool) -> dict[str, Any]:
        """Forget everything, or only what waits; answer ``{removedDevices, rejectedPending}``."""
        self.changing()
        return _swept(self.store.clear(pending=pending, caller=self.caller, now_ms=wall_ms()))

    def prune(self, not_seen_since_ms: int) -> dict[str, Any]:
        """Forget devices long not seen; answer ``{removedDevices, rejectedPending}``."""
        self.changing()
        return _swept(
            self.store.prune(
                not_seen_since_ms=not_seen_since_ms, caller=self.caller, now_ms=wall_ms()
            )
        )

    @property
    def own_device_id(self) -> str | None:
        """The device id of this machine; nothing is made to find it out."""
        from stores.files import parse_object, read_file  # late: only rotate asks

        path = self.reached / "identity" / "device.json"
        try:
            found = read_file(path)
            told = None if found is None else parse_object(path, found[0]).get("deviceId")
        except StoreError:
            return None
        return told if isinstance(told, str) else None

    def elsewhere(self) -> Serving | None:
        """Return the gateway that has the port in force and works on other files than these."""
        from stores.serving import gateway_on, may_be_served  # late: it looks around in /proc

        if may_be_served(self.reached):
            return None
        serving = gateway_on(_port_in_force(self.here))
        if serving is None or (serving.state_dir is None and serving.uid == os.geteuid()):
            return None
        if serving.state_dir is not None and _same(serving.state_dir, self.reached):
            return None
        if serving.state_dir is None and _belongs_to(serving.uid, self.reached):
            return None  # it may well be this one, whose note we may not read
        return serving

    @property
    def caller(self) -> Caller:
        """Who decides here, as the audit trail names them."""
        became = self.owner is not None and self.owner.became
        return Caller("cli", uid=0 if became else os.getuid())  # whoever it was, not who it became

    def changing(self) -> None:
        """Refuse a folder that others may write to; look at the files, and say what is wrong."""
        refuse_open_folder(self.reached)
        self._book()

    def _book(self) -> DeviceBook:
        book = self.store.read()
        self._warn()
        return book

    def _warn(self) -> None:
        for fault in self.store.problems:
            text = f"warning: {fault.file} at {fault.path}: {fault.problem} ({fault.remedy})"
            if text not in self._warned:
                self._warned.add(text)
                note(printable(self.as_known(text)))


def _swept(swept: tuple[tuple[str, ...], tuple[str, ...]]) -> dict[str, Any]:
    return {"removedDevices": list(swept[0]), "rejectedPending": list(swept[1])}


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def owner_of(here: Place) -> Owner | None:
    """Become the owner of the state directory if this is root, once a command; see `take_ownership`."""
    meta = click.get_current_context().meta
    if _OWNER not in meta:
        if will_become(here.paths.state_dir):
            from cli.preload import load_everything  # late: see there

            load_everything()
        meta[_OWNER] = take_ownership(here.paths.state_dir)
    owner: Owner | None = meta[_OWNER]
    return owner


def open_files(here: Place, folders: tuple[str, ...] = ("devices",)) -> Files:
    """Open the device store of this machine; nothing is written and nothing needs to exist.

    Raises:
        StoreError: the state directory is not one to trust; see `take_ownership`.
    """
    owner = owner_of(here)
    state_dir = here.paths.state_dir
    reached = state_dir if owner is None else owner.reached
    limits = PairingLimits(ttl_ms=_request_ttl_ms(here))
    return Files(DeviceStore(reached / "devices", limits=limits), here, state_dir, owner, folders)


def refuse_wrong_store(files: Files, command: str) -> None:
    """Refuse files that the running gateway does not work on, and say which it does.

    Raises:
        WrongStoreError: with the command that reaches the right ones.
    """
    from stores.owner import sudo_user  # late: only failures need it

    serving = files.elsewhere()
    if serving is None:
        return
    who = serving.in_words()
    works = "other files" if serving.state_dir is None else str(serving.state_dir)
    ways = []
    if serving.state_dir is not None:
        ways.append(f"`OPENCLAW_STATE_DIR={_quoted(serving.state_dir)} {command}`")
    if serving.uid != os.geteuid():
        ways.insert(0, f"`sudo -u {sudo_user(serving.uid)} {command}`")
    raise WrongStoreError(
        f"this command looks at {files.state_dir}, but {who} works on {works}",
        remedy=f"use {' or '.join(ways)}; for a gateway that is stopped name its own port in "
        "`OPENCLAW_GATEWAY_PORT`",
    )


def _belongs_to(uid: int, path: Path) -> bool:
    try:
        return path.stat().st_uid == uid
    except OSError:
        return False


def _quoted(path: Path) -> str:
    import shlex  # late: only failures need it

    return shlex.quote(str(path))


def _request_ttl_ms(here: Place) -> int:
    """Return the life of pending requests, the default if the configuration cannot be used."""
    default = PairingLimits().ttl_ms
    try:
        config = _config_that_names(here, TTL_KEY)
    except (ConfigError, StoreError) as error:
        note(f"note: {error.problem}; pending requests are shown for {in_words(default)}")
        return default
    return default if config is None else config.gateway.pairing.request_ttl_ms


def _port_in_force(here: Place) -> int:
    try:
        config = _config_that_names(here, PORT_KEY)
    except (ConfigError, StoreError):
        config = None  # said already, see above
    configured = None if config is None else config.gateway.port
    said = here.env.get("OPENCLAW_GATEWAY_PORT", "").strip()
    if configured is not None:
        return configured
    return int(said) if said.isascii() and said.isdigit() else here.paths.default_port


def _config_that_names(here: Place, key: str) -> Config | None:
    """Return the configuration if its text has ``key`` in it, None if it says nothing about it.

    It is not loaded without need: that would take longer than all the rest, and a broken one is no
    reason not to list devices.

    Raises:
        ConfigError, StoreError: it cannot be used.
    """
    try:
        text = read_regular(here.paths.config_path).decode(errors="replace")
    except (OSError, ConfigError):
        return None
    if not any(sign in text for sign in (key, *_NEEDS_LOADER)):
        return None
    from stores.config.load import load_config  # late: see above

    return load_config(here.paths, here.env).config
