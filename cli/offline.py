"""The other road: the device store itself, with the authority of who may open its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from attrs import frozen

from cli.device_table import wall_ms
from cli.output import note
from cli.place import Place
from stores.devices import DeviceStore, PairingLimits
from stores.errors import ConfigError, StoreError
from stores.listing import listing, paired_item
from stores.plain_file import read_regular
from stores.records import DeviceBook
from stores.timespan import in_words
from stores.transition import Caller

TTL_KEY = "requestTtlMs"
#: Its text then has a meaning that only the whole loader knows.
_NEEDS_LOADER = (TTL_KEY, "$include", "\\u", "\\x")


@frozen
class Files:
    """The device store of this machine's gateway, opened by a command."""

    store: DeviceStore
    lock_path: Path

    @property
    def served(self) -> bool:
        """Tell whether a gateway runs on this store, or died on it: one that stops takes its note."""
        marker = self.lock_path.with_name(f"{self.lock_path.name}.held")
        return any(file.is_file() and file.stat().st_size for file in (self.lock_path, marker))

    @property
    def directory(self) -> Path:
        """The folder of the store."""
        return self.store.directory

    def list(self) -> dict[str, Any]:
        """Return the list of devices as `stores.listing` builds it.

        Raises:
            StoreError: a file exists and cannot be read.
        """
        book = self._book()
        now_ms = wall_ms()
        return dict(listing(book, now_ms=now_ms, ttl_ms=self.store.limits.ttl_ms))

    def approve(self, reference: str) -> dict[str, Any]:
        """Approve a pending request; answer ``{requestId, device}``.

        Raises:
            UnknownRequestError: nothing pending answers to ``reference``.
            StoreError: the files cannot be read, locked or written.
        """
        self._book()
        item, device = self.store.approve(reference, caller=_caller(), now_ms=wall_ms())
        kept = self.store.book.notes.get(device.device_id)
        shown = paired_item(device, kept, False)
        return {"requestId": item.request_id, "device": shown}

    def reject(self, reference: str) -> dict[str, Any]:
        """Reject a pending request; answer ``{requestId, deviceId}``.

        Raises:
            UnknownRequestError, StoreError: see `approve`.
        """
        self._book()
        item = self.store.reject(reference, caller=_caller(), now_ms=wall_ms())
        return {"requestId": item.request_id, "deviceId": item.device_id}

    def _book(self) -> DeviceBook:
        book = self.store.read()
        for fault in self.store.problems:
            note(f"warning: {fault.file} at {fault.path}: {fault.problem} ({fault.remedy})")
        return book


def open_files(here: Place) -> Files:
    """Open the device store of this machine; nothing is written and nothing needs to exist."""
    limits = PairingLimits(ttl_ms=_request_ttl_ms(here))
    return Files(DeviceStore(here.paths.devices_dir, limits=limits), here.paths.lock_path)


def _request_ttl_ms(here: Place) -> int:
    """Return the life of pending requests, the default if the configuration cannot be used.

    A file that does not name the key says nothing about it, and is not loaded: that would take
    longer than all the rest, and a broken one is no reason not to list devices.
    """
    default = PairingLimits().ttl_ms
    path = here.paths.config_path
    try:
        text = read_regular(path).decode(errors="replace")
    except (OSError, ConfigError):
        return default
    if not any(sign in text for sign in _NEEDS_LOADER):
        return default
    from stores.config.load import load_config  # late: see above

    try:
        return load_config(here.paths, here.env).config.gateway.pairing.request_ttl_ms
    except (ConfigError, StoreError) as error:
        note(f"note: {error.problem}; pending requests are shown for {in_words(default)}")
        return default


def _caller() -> Caller:
    return Caller("cli", uid=os.getuid())
