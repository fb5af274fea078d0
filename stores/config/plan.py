"""What a changed configuration means for a running gateway: applied now, or at its next start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs
from attrs import field, frozen

from stores.config.model import AuthConfig, AuthMode, Config, Reload, key_of

MODE = "gateway.auth.mode"

_SECRETS = frozenset({"gateway.auth.token", "gateway.auth.password"})

#: No key that the command line decides.
_NOTHING: Mapping[str, str] = MappingProxyType({})


@frozen
class ReloadPlan:
    """The keys that differ, dotted: those that count at once, and those that need a restart.

    ``fixed`` are those that the command line decides, which a restart keeps, each with its option.
    """

    apply: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default=_NOTHING)

    @property
    def changed(self) -> tuple[str, ...]:
        """All keys that differ."""
        return self.apply + self.restart


def plan(old: Config, new: Config, *, fixed: Mapping[str, str] = _NOTHING) -> ReloadPlan:
    """Compare two configurations.

    A password that appears or goes while no mode is said changes the mode, so it is a change of
    `gateway.auth.mode` too.

    Args:
        fixed: The option that decides a key, by the dotted key; see `RunOptions.decides`.
    """
    changes = dict(changed_keys(old, new))
    named = old.gateway.auth.mode or new.gateway.auth.mode
    by_option = named is None and not _SECRETS.isdisjoint(fixed)  # an option's secret says the mode
    if implied_mode(old.gateway.auth) is not implied_mode(new.gateway.auth) and not by_option:
        changes[MODE] = "restart"
    free = {key: how for key, how in changes.items() if key not in fixed}
    return ReloadPlan(
        apply=tuple(key for key, how in free.items() if how == "hot"),
        restart=tuple(key for key, how in free.items() if how == "restart"),
        fixed={key: fixed[key] for key in changes if key in fixed},
    )


def implied_mode(auth: AuthConfig) -> AuthMode:
    """Return the mode that a configuration alone asks for."""
    if auth.mode is not None:
        return auth.mode
    return AuthMode.PASSWORD if auth.password or auth.password_file else AuthMode.TOKEN


def changed_keys(old: Config, new: Config) -> Iterator[tuple[str, Reload]]:
    """Yield the dotted keys that differ, each with ``hot`` or ``restart``."""
    yield from _changed(old, new, "")


def _changed(old: Any, new: Any, prefix: str) -> Iterator[tuple[str, Reload]]:
    for item in attrs.fields(type(old)):
        before, after = getattr(old, item.name), getattr(new, item.name)
        if before == after:
            continue
        key = prefix + key_of(item)
        if "section" in item.metadata:
            yield from _changed(before, after, f"{key}.")
        else:
            yield key, item.metadata["reload"]
