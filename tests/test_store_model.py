"""A gateway and two commands on the same files, killed at any write, against what they were told.

The model is the book in memory: every transition that was acknowledged, in the order in which the
lock was held. What a kill interrupts may have happened or not, and nothing in between.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stores import device_life, pairing, repair, token_life
from stores.decisions import Transition
from stores.devices import DeviceStore, PairingLimits
from stores.errors import UserFacingError
from stores.records import DeviceBook, Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE, covers
from stores.transition import Caller, Rules
from tests.builders import CLI, NOW_MS, a_wish, key_pair

TTL_MS = 300_000
DEVICES = (1, 2, 3)

#: What a process does to the disk, one call each: it can be killed before any of them.
WRITES = ("rename", "replace", "write", "fsync", "unlink", "mkdir")

seeds = st.sampled_from(DEVICES)
roles = st.sampled_from([Role.OPERATOR, Role.NODE])
scope_sets = st.lists(st.sampled_from([READ, WRITE, PAIRING, ADMIN]), max_size=3, unique=True)
programs = st.integers(0, 2)
callers = st.one_of(
    st.just(CLI),
    st.builds(
        Caller,
        st.just("operator"),
        scopes=scope_sets.map(tuple),
        device_id=seeds.map(lambda seed: key_pair(seed).device_id),
        own_device_only=st.booleans(),
    ),
)


class KilledError(BaseException):
    """The process is gone: nothing of it runs any more, cleanups included."""


@contextmanager
def killed_at(number: int | None) -> Iterator[None]:
    """Kill the process before its write ``number``; afterwards it writes nothing more."""
    left = number

    def counted(real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if left is not None:
            if left <= 0:
                raise KilledError
            left -= 1
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(os, name, functools.partial(counted, getattr(os, name)))
        yield


def comparable(book: DeviceBook) -> DeviceBook:
    """Return the book without what tells nothing of decisions."""
    return attrs.evolve(book, pending=dict(book.pending), paired=dict(book.paired))


class Files(RuleBasedStateMachine):
    """Program 0 is the gateway, which keeps its store open; 1 and 2 are commands."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp()) / "devices"
        self.folder.mkdir(mode=0o700)
        self.now_ms = NOW_MS
        self.made = 0
        self.dead_tokens: set[str] = set()
        self.dead_roles: set[tuple[str, str]] = set()
        self.model = DeviceBook()
        self.stores = [self.opened("ws"), self.opened("files"), self.opened("files")]

    def teardown(self) -> None:
        shutil.rmtree(self.folder.parent)

    def opened(self, via: str) -> DeviceStore:
        return DeviceStore(
            self.folder, via=via, limits=PairingLimits(ttl_ms=TTL_MS), new_token=self.new_token
        )

    def new_token(self) -> str:
        self.made += 1
        return f"token-{self.made}"

    def present_rules(self) -> Rules:
        """Return the rules that the stores go by; tokens are compared by what replaced them."""
        key = self.folder / "store.key"
        return Rules(
            now_ms=self.now_ms,
            store_key=key.read_bytes() if key.exists() else b"",
            new_token=lambda: f"token-{self.made}",
            ttl_ms=TTL_MS,
        )

    def make(self, program: int, kill: int | None, *transitions: Transition) -> bool:
        """Let a program make transitions, perhaps killed meanwhile, and check what is left.

        Returns:
            Whether all of them were acknowledged.
        """
        before = self.settled(self.model)
        store = self.stores[program]
        try:
            with killed_at(kill):
                results = store.apply(transitions, now_ms=self.now_ms)
        except KilledError:
            self.stores[program] = self.opened(store.via)
            self.after_a_kill(before, transitions)
            return False
        self.note_the_dead(self.model, store.book)
        self.model = store.book
        self.check_against(before, transitions)
        return not any(isinstance(result, UserFacingError) for result in results)

    def settled(self, book: DeviceBook) -> DeviceBook:
        return pairing.drop_expired(pairing.heal(book), self.present_rules()).book

    def expected(self, before: DeviceBook, transitions: tuple[Transition, ...]) -> DeviceBook:
        """Return what the transitions make of a book in memory."""
        book, made = before, self.made
        for transition in transitions:
            try:
                book = transition(book, self.present_rules()).book
            except UserFacingError:
                continue
        self.made = made
        return pairing.heal(book)

    def check_against(self, before: DeviceBook, transitions: tuple[Transition, ...]) -> None:
        wanted = comparable(self.expected(before, transitions))
        assert without_tokens(comparable(self.model)) == without_tokens(wanted)

    def after_a_kill(self, before: DeviceBook, transitions: tuple[Transition, ...]) -> None:
        """Take the files for what they are: each record is as before, or as was wanted."""
        found = self.opened("files").read()
        wanted = self.expected(before, transitions)
        for device_id in {*before.paired, *wanted.paired, *found.paired}:
            now = tokenless(found.paired.get(device_id))
            either = [tokenless(book.paired.get(device_id)) for book in (before, wanted)]
            assert now in either, "a record is neither what it was nor what it was to be"
        for item in before.pending.values():
            device_id = item.device_id
            if found.pending_of(device_id):
                continue
            # What is pending no more was decided, and all of the decision is there.
            assert not wanted.pending_of(device_id), "a request was lost"
            decided = tokenless(wanted.paired.get(device_id))
            assert tokenless(found.paired.get(device_id)) == decided, "half a decision"
            assert found.blocked(device_id) is wanted.blocked(device_id), "half a decision"
        self.note_the_dead(self.model, found)
        self.model = found

    def note_the_dead(self, old: DeviceBook, new: DeviceBook) -> None:
        """Remember every token that opens nothing any more: it must never open anything again."""
        live = live_tokens(new)
        self.dead_tokens |= live_tokens(old) - live
        assert not live & self.dead_tokens, "a dead token opens again"
        self.dead_roles = {
            (device_id, role) for device_id, role in self.dead_roles if device_id in new.paired
        }

    @rule(
        program=programs,
        kill=st.none() | st.integers(0, 24),
        seed=seeds,
        role=roles,
        scopes=scope_sets,
        stale=st.booleans(),
    )
    def ask(
        self, program: int, kill: int | None, seed: int, role: str, scopes: list[str], stale: bool
    ) -> None:
        wish = a_wish(seed, role=role, scopes=scopes, stale_token=stale)
        self.make(program, kill, functools.partial(pairing.request, wish=wish))

    @rule(
        program=programs,
        kill=st.none() | st.integers(0, 24),
        seed=seeds,
        caller=callers,
        what=st.sampled_from(
            [
                (pairing.approve, "reference", {}),
                (pairing.approve, "reference", {}),
                (pairing.reject, "reference", {}),
                (device_life.remove, "device_id", {}),
                (device_life.block, "device_id", {}),
                (device_life.unblock, "device_id", {}),
                (device_life.rename, "device_id", {"label": "desk"}),
                (token_life.rotate, "device_id", {"role": Role.OPERATOR}),
                (token_life.rotate, "device_id", {"role": Role.NODE}),
                (token_life.revoke, "device_id", {"role": Role.OPERATOR}),
                (token_life.revoke, "device_id", {"role": Role.NODE}),
            ]
        ),
    )
    def decide(self, program: int, kill: int | None, seed: int, caller: Caller, what: Any) -> None:
        transition, name, more = what
        device_id = key_pair(seed).device_id
        named = {name: device_id, "caller": caller} | more
        if transition in (pairing.approve, token_life.rotate):
            self.may_wake(device_id, caller)
        made = self.make(program, kill, functools.partial(transition, **named))
        if made and transition is token_life.revoke:
            self.dead_roles.add((device_id, more["role"]))

    def may_wake(self, device_id: str, caller: Caller) -> None:
        """Take note that an admin may be about to issue the dead roles of a device again."""
        if caller.kind == "cli" or covers(caller.scopes, [ADMIN]):
            self.dead_roles = {dead for dead in self.dead_roles if dead[0] != device_id}

    @rule(program=programs, kill=st.none() | st.integers(0, 24), seed=seeds, scopes=scope_sets)
    def come_locally(self, program: int, kill: int | None, seed: int, scopes: list[str]) -> None:
        wish, caller = a_wish(seed, scopes=scopes), Caller("local", uid=0)
        admit = functools.partial(pairing.admit, wish=wish, caller=caller, via="silent")
        self.make(program, kill, admit)

    @rule(program=programs, kill=st.none() | st.integers(0, 24), seed=seeds, role=roles)
    def redeem(self, program: int, kill: int | None, seed: int, role: str) -> None:
        device_id = key_pair(seed).device_id
        self.make(program, kill, functools.partial(repair.redeem, device_id=device_id, role=role))

    @rule(program=programs, pending=st.booleans())
    def clear(self, program: int, pending: bool) -> None:
        self.make(program, None, functools.partial(device_life.clear, pending=pending, caller=CLI))

    @rule(program=programs, scopes=scope_sets)
    def batch(self, program: int, scopes: list[str]) -> None:
        """Several devices ask in one write, and one is approved in the same."""
        self.may_wake(key_pair(1).device_id, CLI)
        asks = [functools.partial(pairing.request, wish=a_wish(n, scopes=scopes)) for n in DEVICES]
        approve = functools.partial(pairing.approve, reference=key_pair(1).device_id, caller=CLI)
        self.make(program, None, *asks, approve)

    @rule(program=programs, seed=seeds)
    def touch(self, program: int, seed: int) -> None:
        self.stores[program].touch(key_pair(seed).device_id, Role.OPERATOR, at_ms=self.now_ms)

    @rule(program=programs)
    def restart(self, program: int) -> None:
        self.stores[program] = self.opened(self.stores[program].via)

    @rule(by_ms=st.sampled_from([1, TTL_MS // 2, TTL_MS, 10 * TTL_MS, -1, -10 * TTL_MS]))
    def time_passes(self, by_ms: int) -> None:
        self.now_ms += by_ms

    @rule(program=programs)
    def look(self, program: int) -> None:
        book = self.stores[program].read()
        assert without_contacts(book) == without_contacts(self.model)
        assert self.stores[program].problems == ()

    @invariant()
    def the_files_say_what_was_acknowledged(self) -> None:
        store = self.opened("files")
        assert without_contacts(store.read()) == without_contacts(self.model)
        assert store.problems == ()

    @invariant()
    def a_revoked_role_stays_dead(self) -> None:
        for device_id, role in self.dead_roles:
            assert self.model.paired[device_id].live_token(role) is None

    @invariant()
    def nothing_opens_that_must_not(self) -> None:
        for device in self.model.paired.values():
            assert covers(device.baseline, device.granted_scopes(Role.OPERATOR))
            assert not set(device.live_roles) & {r for r in device.tokens if device.revoked(r)}
        for item in self.model.pending.values():
            assert not self.model.blocked(item.device_id)
            assert not item.is_repair or item.device_id in self.model.paired
        values = [t.token for d in self.model.paired.values() for t in d.tokens.values()]
        assert len(values) == len(set(values))


def live_tokens(book: DeviceBook) -> set[str]:
    found = ((d, role) for d in book.paired.values() for role in d.live_roles)
    return {device.tokens[role].token for device, role in found}


def tokenless(device: Any) -> Any:
    """Return a paired record without the values of its tokens and without contacts."""
    if device is None:
        return None
    tokens = {
        role: attrs.evolve(
            token, token="x" * bool(token.token), last_used_at_ms=None, previous_token_sha256=None
        )
        for role, token in device.tokens.items()
    }
    return attrs.evolve(device, tokens=tokens, last_seen_at_ms=None, last_seen_reason=None)


def without_tokens(book: DeviceBook) -> DeviceBook:
    """Return a book for comparison: the stores and the model draw different tokens."""
    return attrs.evolve(book, paired={key: tokenless(d) for key, d in book.paired.items()})


def without_contacts(book: DeviceBook) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the content of a book without when devices were here: only their own write has it."""
    seen = without_tokens(book)
    return dict(seen.pending), dict(seen.paired), dict(seen.notes)


Files.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestFiles = pytest.mark.slow(Files.TestCase)
