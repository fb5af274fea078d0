"""The scope algebra: which scope contains which, compared as closures and never as literal sets.

Source: protocol fact, the implication rules of protocol 4, applied to both protocols here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

ADMIN = "operator.admin"
READ = "operator.read"
WRITE = "operator.write"
APPROVALS = "operator.approvals"
PAIRING = "operator.pairing"
QUESTIONS = "operator.questions"
TALK = "operator.talk"
TALK_SECRETS = "operator.talk.secrets"
SESSIONS_READ = "operator.sessions.read"
SESSIONS_WRITE = "operator.sessions.write"

#: Every scope that has a name of its own today.
KNOWN = frozenset(
    {ADMIN, READ, WRITE, APPROVALS, PAIRING, QUESTIONS}
    | {TALK, TALK_SECRETS, SESSIONS_READ, SESSIONS_WRITE}
)

_IMPLIED: dict[str, frozenset[str]] = {
    ADMIN: KNOWN,
    WRITE: frozenset({READ, TALK, SESSIONS_READ, SESSIONS_WRITE}),
    READ: frozenset({SESSIONS_READ}),
}

_PREFIX = "operator."


def implies(have: str, want: str) -> bool:
    """Tell whether holding ``have`` is enough where ``want`` is asked for.

    ``operator.admin`` contains every ``operator.*`` name, known or not.
    """
    if have == want:
        return True
    if have == ADMIN:
        return want.startswith(_PREFIX)
    return want in _IMPLIED.get(have, ())


@lru_cache(maxsize=512)
def _closure(scopes: frozenset[str]) -> frozenset[str]:
    return scopes.union(*(_IMPLIED.get(scope, frozenset()) for scope in scopes))


def closure(scopes: Iterable[str]) -> frozenset[str]:
    """Return ``scopes`` with everything they contain, by name."""
    return _closure(frozenset(scopes))


def covers(have: Iterable[str], want: Iterable[str]) -> bool:
    """Tell whether every scope of ``want`` is contained in ``have``; nothing wanted is covered."""
    held = frozenset(have)
    # Nearly always every scope is there by its own name, which costs no rule.
    return held.issuperset(wanted := tuple(want)) or not missing(held, wanted)


def missing(have: Iterable[str], want: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes of ``want``, in order and once each, that ``have`` does not contain."""
    held = tuple(have)
    return tuple(
        scope for scope in dict.fromkeys(want) if not any(implies(mine, scope) for mine in held)
    )


def meet(asked: Iterable[str], approved: Iterable[str]) -> tuple[str, ...]:
    """Return what both sides contain: the asked scopes that are approved, then the reverse.

    Asked admin and approved read meet in read. The order of ``asked`` is kept, and a scope that
    another one of the result contains stays only if it was asked for by name.
    """
    wanted, granted = tuple(dict.fromkeys(asked)), tuple(dict.fromkeys(approved))
    both = [scope for scope in wanted if covers(granted, (scope,))]
    both += [
        scope
        for scope in granted
        if covers(wanted, (scope,)) and not any(implies(mine, scope) for mine in both)
    ]
    return tuple(both)


def union(*sets: Iterable[str]) -> tuple[str, ...]:
    """Return every scope once, in order of arrival."""
    return tuple(dict.fromkeys(scope for scopes in sets for scope in scopes))
