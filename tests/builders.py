"""Records with defaults: a test names only what it is about. Keys are real and made from a number."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from stores import codec, pairing
from stores.decisions import Transition
from stores.devices import DeviceStore, PairingLimits
from stores.files import ensure_private_dir, replace_file
from stores.keys import KeyPair, key_pair_of_seed
from stores.records import (
    DeviceBook,
    DeviceNote,
    DeviceToken,
    PairedDevice,
    PendingRequest,
    Role,
)
from stores.scopes import ADMIN, PAIRING, READ
from stores.transition import Caller, Rules, Wish

#: A wall time as good as any, epoch ms.
NOW_MS = 1_795_169_037_977

CLI = Caller("cli", uid=1000)
ADMIN_SESSION = Caller("operator", scopes=(ADMIN,), device_id="f" * 64)
PAIRING_SESSION = Caller("operator", scopes=(PAIRING,), device_id="f" * 64)


@functools.cache
def key_pair(seed: int = 1) -> KeyPair:
    """Return the key pair number ``seed``: always the same one, and its id is the key's hash."""
    return key_pair_of_seed(seed.to_bytes(32, "big"))


def a_token(role: str = Role.OPERATOR, **changes: Any) -> DeviceToken:
    """Return a live device token with operator.read, or none for a node."""
    scopes = (READ,) if role == Role.OPERATOR else ()
    token = DeviceToken(f"token-of-{role}", role, scopes, created_at_ms=NOW_MS - 1000)
    return attrs.evolve(token, **changes)


def a_device(
    seed: int = 1,
    *,
    scopes: Iterable[str] = (READ,),
    roles: Iterable[str] = (Role.OPERATOR,),
    **changes: Any,
) -> PairedDevice:
    """Return a paired device with a live token for each of its roles."""
    named, approved = tuple(roles), tuple(scopes)
    tokens = {
        role: a_token(role, scopes=tuple(sorted(approved)) if role == Role.OPERATOR else ())
        for role in named
    }
    device = PairedDevice(
        device_id=key_pair(seed).device_id,
        public_key=key_pair(seed).public_key,
        platform="linux",
        client_id="cli",
        client_mode="cli",
        role=named[0] if named else None,
        roles=named,
        scopes=approved,
        tokens=tokens,
        created_at_ms=NOW_MS - 1000,
        approved_at_ms=NOW_MS - 1000,
    )
    return attrs.evolve(device, **changes)


def a_request(
    seed: int = 1,
    *,
    scopes: Iterable[str] = (READ,),
    role: str = Role.OPERATOR,
    request_id: str | None = None,
    **changes: Any,
) -> PendingRequest:
    """Return a pending request; its id is made from the seed unless given."""
    item = PendingRequest(
        request_id=request_id or f"22222222-0000-4000-8000-{seed:012d}",
        device_id=key_pair(seed).device_id,
        public_key=key_pair(seed).public_key,
        platform="linux",
        client_id="cli",
        client_mode="cli",
        role=role,
        roles=(role,),
        scopes=tuple(scopes),
        ts=NOW_MS,
    )
    return attrs.evolve(item, **changes)


def a_wish(
    seed: int = 1, *, scopes: Iterable[str] = (READ,), role: str = Role.OPERATOR, **changes: Any
) -> Wish:
    """Return what a verified device asks for at a connect."""
    wish = Wish(
        device_id=key_pair(seed).device_id,
        public_key=key_pair(seed).public_key,
        role=role,
        scopes=tuple(scopes),
        platform="linux",
        client_id="cli",
        client_mode="cli",
        remote_ip=f"192.0.2.{seed % 250}",
    )
    return attrs.evolve(wish, **changes)


def a_book(
    *records: PendingRequest | PairedDevice, notes: dict[str, DeviceNote] | None = None
) -> DeviceBook:
    """Return the book that holds these records."""
    return DeviceBook(
        pending={item.request_id: item for item in records if isinstance(item, PendingRequest)},
        paired={item.device_id: item for item in records if isinstance(item, PairedDevice)},
        notes=notes or {},
    )


def some_rules(*, now_ms: int = NOW_MS, **changes: Any) -> Rules:
    """Return rules whose tokens are counted: ``new-1``, ``new-2``, …"""
    numbers = itertools.count(1)
    rules = Rules(now_ms=now_ms, store_key=b"k" * 32, new_token=lambda: f"new-{next(numbers)}")
    return attrs.evolve(rules, **changes)


def a_store(folder: Path, *, via: str = "files", **limits: int) -> DeviceStore:
    """Return a device store whose folder exists."""
    ensure_private_dir(folder)
    return DeviceStore(folder, via=via, limits=PairingLimits(**limits))


def asking(seed: int = 1, **wish: Any) -> Transition:
    """Return the transition of a device that asks to pair."""
    return functools.partial(pairing.request, wish=a_wish(seed, **wish))


def put(store: DeviceStore, name: str, *records: PendingRequest | PairedDevice) -> None:
    """Write a store file as another program would."""
    keyed = {
        item.request_id if isinstance(item, PendingRequest) else item.device_id: codec.dump(item)
        for item in records
    }
    replace_file(store.directory / name, json.dumps(keyed, indent=2).encode())


def on_disk(store: DeviceStore, name: str) -> Any:
    """Return what a store file holds, parsed."""
    return json.loads((store.directory / name).read_bytes())


def events(store: DeviceStore) -> list[str]:
    """Return the events of the audit trail, in order and without their common prefix."""
    lines = store.audit_trail.read_text().splitlines()
    return [json.loads(line)["event"].removeprefix("device.") for line in lines]
