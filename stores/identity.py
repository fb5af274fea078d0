"""This machine's own device: its Ed25519 identity, and the device tokens that gateways gave it.

Source: protocol fact, the identity files of 2026.2 to 2026.4; both end with a newline.

Locking: whoever writes holds ``identity.lock``, so that two commands started at once on a fresh
machine end with the same identity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from stores.errors import CorruptStoreError
from stores.files import ensure_private_dir, locked, parse_object, read_file, replace_file

if TYPE_CHECKING:
    from stores.keys import KeyPair

FORMAT_VERSION = 1
DEVICE_FILE = "device.json"
TOKENS_FILE = "device-auth.json"
LOCK_FILE = "identity.lock"


@frozen
class Identity:
    """The key pair this machine proves itself with; ``created_at_ms`` is epoch ms."""

    key: KeyPair
    created_at_ms: int

    @property
    def device_id(self) -> str:
        """The device id other programs know this machine by."""
        return self.key.device_id


@frozen
class CachedToken:
    """A device token a gateway issued to this machine; ``scopes`` is sorted, the time epoch ms."""

    token: str = field(repr=False)
    role: str
    scopes: tuple[str, ...] = ()
    updated_at_ms: int = 0


def open_identity(folder: Path, *, now_ms: int) -> Identity:
    """Return the identity kept in ``folder``, made on first use.

    A ``deviceId`` that does not belong to the key is corrected in the file.

    Raises:
        CorruptStoreError: the file is there and holds no usable key; it is not overwritten,
            because every approval of this machine hangs on that key.
        StoreError: the folder or the file cannot be read or written.
    """
    found = _read_identity(folder)
    if found is not None and found[1]:
        return found[0]
    with locked(folder / LOCK_FILE):
        found = _read_identity(folder)  # somebody may have made it while we waited
        if found is None:
            from stores.keys import generate  # late: it loads cryptography, and most find a key

            identity, right = Identity(generate(), now_ms), False
        else:
            identity, right = found
        if not right:
            _write(folder / DEVICE_FILE, _identity_document(identity))
        return identity


def known_identity(folder: Path) -> Identity | None:
    """Return the identity kept in ``folder``, None while there is none; nothing is written.

    Raises:
        CorruptStoreError, StoreError: see `open_identity`.
    """
    found = _read_identity(folder)
    return None if found is None else found[0]


def _read_identity(folder: Path) -> tuple[Identity, bool] | None:
    """Return the identity and whether the file names the right device id."""
    path = folder / DEVICE_FILE
    found = read_file(path)
    if found is None:
        return None
    document = parse_object(path, found[0])
    from stores.keys import load_private_key_pem  # late: see `stores.keys`

    pem = document.get("privateKeyPem")
    key = load_private_key_pem(pem) if isinstance(pem, str) else None
    if key is None:
        raise CorruptStoreError(
            f"{path} holds no Ed25519 private key in privateKeyPem",
            remedy="restore it, or start over as a new device that must be approved again: "
            f"`mv {path} {path}.broken`",
        )
    created = document.get("createdAtMs")
    identity = Identity(key, created if type(created) is int else 0)
    return identity, document.get("deviceId") == key.device_id


def _identity_document(identity: Identity) -> dict[str, Any]:
    return {
        "version": FORMAT_VERSION,
        "deviceId": identity.device_id,
        "publicKeyPem": identity.key.public_key_pem,
        "privateKeyPem": identity.key.private_key_pem,
        "createdAtMs": identity.created_at_ms,
    }


@frozen
class TokenCache:
    """The device tokens that gateways issued to one device, in one file.

    ``tokens`` of the file, which other programs read too, holds those of this machine's own
    gateway; the ones of other gateways stand under ``gateways`` by URL, because a token sent to
    a gateway that did not issue it is a token given away.

    Args:
        folder: The ``identity`` folder.
        device_id: Whose tokens they are; those of another device count as none.
        gateway: URL of the gateway asked, None for this machine's own.
    """

    folder: Path
    device_id: str
    gateway: str | None = None

    def get(self, role: str) -> CachedToken | None:
        """Return the token for ``role``, if there is one.

        A file that cannot be understood counts as none: a gateway issues them again.

        Raises:
            StoreError: the file exists and cannot be read.
        """
        return _token(role, self._tokens(self._document()).get(role))

    def save(self, issued: CachedToken) -> bool:
        """Keep a token; tell whether the file changed. Other roles and gateways stay as they are.

        Raises:
            StoreError: the file cannot be read or written.
        """
        issued = evolve(issued, scopes=tuple(sorted(issued.scopes)))
        known = self.get(issued.role)
        if known is not None and (known.token, known.scopes) == (issued.token, issued.scopes):
            return False
        entry = {
            "token": issued.token,
            "role": issued.role,
            "scopes": list(issued.scopes),
            "updatedAtMs": issued.updated_at_ms,
        }
        with locked(self.folder / LOCK_FILE):
            document = self._document()
            self._replace(document, {**self._tokens(document), issued.role: entry})
        return True

    def forget(self, refused: CachedToken) -> None:
        """Drop a token that its gateway does not take any more, unless it was replaced since.

        Raises:
            StoreError: the file cannot be read or written.
        """
        with locked(self.folder / LOCK_FILE):
            document = self._document()
            tokens = dict(self._tokens(document))
            known = _token(refused.role, tokens.get(refused.role))
            if known is not None and known.token == refused.token:
                del tokens[refused.role]
                self._replace(document, tokens)

    def _document(self) -> dict[str, Any]:
        path = self.folder / TOKENS_FILE
        found = read_file(path)
        if found is None:
            return {}
        try:
            document = parse_object(path, found[0])
        except CorruptStoreError:
            return {}
        return document if document.get("deviceId") == self.device_id else {}

    def _tokens(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.gateway is None:
            return _object(document.get("tokens"))
        return _object(_object(document.get("gateways")).get(self.gateway))

    def _replace(self, document: dict[str, Any], tokens: Mapping[str, Any]) -> None:
        after = {"version": FORMAT_VERSION, "deviceId": self.device_id, "tokens": {}, **document}
        if self.gateway is None:
            after["tokens"] = tokens
        else:
            after["gateways"] = {**_object(document.get("gateways")), self.gateway: tokens}
        _write(self.folder / TOKENS_FILE, after)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _token(role: str, entry: Any) -> CachedToken | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str) or not entry["token"]:
        return None
    scopes = entry.get("scopes")
    named = [scope for scope in scopes if isinstance(scope, str)] if type(scopes) is list else []
    at_ms = entry.get("updatedAtMs")
    return CachedToken(
        entry["token"], role, tuple(sorted(named)), at_ms if type(at_ms) is int else 0
    )


def _write(path: Path, document: Mapping[str, Any]) -> None:
    ensure_private_dir(path.parent)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    replace_file(path, f"{text}\n".encode("utf-8", "surrogatepass"))
