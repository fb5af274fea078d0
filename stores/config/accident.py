"""Tell an edit that looks like an accident from one that somebody wished for."""

from __future__ import annotations

from typing import Any

from stores.config.keypath import MISSING, KeyPath, dotted, leaves, look_up
from stores.config.load import InvalidConfigError, LoadedConfig
from stores.config.model import AuthMode
from stores.config.plan import implied_mode
from stores.errors import UserFacingError

#: A file with fewer keys than this may lose more than half of them by one honest edit.
MIN_KEYS = 5
_SECRETS: dict[AuthMode, tuple[KeyPath, ...]] = {
    AuthMode.TOKEN: (("gateway", "auth", "token"), ("gateway", "auth", "tokenFile")),
    AuthMode.PASSWORD: (("gateway", "auth", "password"), ("gateway", "auth", "passwordFile")),
}


def looks_like_accident(old: LoadedConfig, new: LoadedConfig | UserFacingError) -> str | None:
    """Return why an edit is not believed, None if it is.

    Pure: nothing is read. A text that cannot be used is an accident whoever wrote it.

    Args:
        old: What is in force.
        new: What the file says now, or the error that loading it raised.
    """
    if isinstance(new, UserFacingError):
        return _first_line(new)
    if not old.exists:
        return None
    if not new.exists:
        return f"{new.path} is gone"
    before, after = old.document, new.document
    if before and not after:
        return f"{new.path} says nothing any more"
    if before.get("gateway") and not after.get("gateway"):
        return f"{new.path} says nothing about the gateway any more"
    if _lost(before, after, ("gateway", "mode")):
        return f"gateway.mode is gone from {new.path}"
    secret = _lost_secret(old, new)
    if secret is not None:
        return f"{secret} is gone from {new.path}"
    return _lost_keys(old, new)


def _first_line(error: UserFacingError) -> str:
    if isinstance(error, InvalidConfigError):
        return error.problem
    return error.problem.partition("\n")[0]


def _lost(before: Any, after: Any, path: KeyPath) -> bool:
    return look_up(before, path) is not MISSING and look_up(after, path) is MISSING


def _lost_secret(old: LoadedConfig, new: LoadedConfig) -> str | None:
    """Return the secret that is gone while the mode still asks for it."""
    mode = implied_mode(new.config.gateway.auth)
    if implied_mode(old.config.gateway.auth) is AuthMode.PASSWORD and mode is AuthMode.TOKEN:
        # without its mode, a password that goes would change what is asked for
        mode = AuthMode.PASSWORD if new.config.gateway.auth.mode is None else mode
    if mode is AuthMode.PASSWORD and new.config.gateway.auth.token:
        return None
    places = _SECRETS.get(mode, ())
    if any(_says(new.document, path) for path in places):
        return None
    return next((dotted(path) for path in places if _says(old.document, path)), None)


def _says(document: Any, path: KeyPath) -> bool:
    value = look_up(document, path)
    return isinstance(value, str) and bool(value.strip())


def _lost_keys(old: LoadedConfig, new: LoadedConfig) -> str | None:
    before, after = set(leaves(old.document)), set(leaves(new.document))
    gone = before - after
    if len(before) >= MIN_KEYS and len(gone) * 2 > len(before):
        return f"{len(gone)} of {len(before)} keys are gone from {new.path}"
    return None
