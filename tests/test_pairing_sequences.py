"""Any sequence of transitions keeps what must always hold, whoever makes them in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stores import device_life, pairing, token_life
from stores.errors import UserFacingError
from stores.records import DeviceBook, PairedDevice, Role
from stores.scopes import ADMIN, APPROVALS, PAIRING, READ, WRITE, covers
from stores.transition import Caller, Rules
from tests.builders import CLI, NOW_MS, a_wish, key_pair, some_rules

TTL_MS = 300_000

seeds = st.integers(min_value=1, max_value=3)
roles = st.sampled_from([Role.OPERATOR, Role.NODE])
scope_sets = st.lists(
    st.sampled_from([READ, WRITE, PAIRING, APPROVALS, ADMIN]), max_size=3, unique=True
)
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


def held(device: PairedDevice | None) -> tuple[str, ...]:
    return device.granted_scopes(Role.OPERATOR) if device else ()


class AnySequence(RuleBasedStateMachine):
    """The gateway's own order: heal, drop the expired, then the transition."""

    def __init__(self) -> None:
        super().__init__()
        self.book = DeviceBook()
        self.now_ms = NOW_MS
        self.asked: dict[str, set[str]] = {}
        self.tokens_made = 0

    def present_rules(self) -> Rules:
        self.tokens_made += 1
        return some_rules(now_ms=self.now_ms, new_token=lambda: f"token-{self.tokens_made}")

    def settle(self) -> None:
        self.book = pairing.drop_expired(pairing.heal(self.book), self.present_rules()).book

    @rule(seed=seeds, role=roles, scopes=scope_sets, platform=st.sampled_from(["linux", None]))
    def ask(self, seed: int, role: str, scopes: list[str], platform: str | None) -> None:
        self.settle()
        before = self.book.pending_of(key_pair(seed).device_id)
        wish = a_wish(seed, role=role, scopes=scopes, platform=platform)

        change = pairing.request(self.book, self.present_rules(), wish=wish)

        if role == Role.OPERATOR:
            self.asked.setdefault(wish.device_id, set()).update(scopes)
        for item in before:
            assert covers(change.result.scopes, item.scopes)
            assert set(change.result.asked_roles) >= set(item.asked_roles)
            assert item.first_seen_at_ms is not None
            assert change.result.first_seen_at_ms == min(item.first_seen_at_ms, self.now_ms) or (
                change.result.request_id == item.request_id
            )
        assert covers(change.result.asked_scopes, wish.scopes if role == Role.OPERATOR else ())
        self.book = change.book

    @rule(seed=seeds, caller=callers)
    def approve(self, seed: int, caller: Caller) -> None:
        self.settle()
        device_id = key_pair(seed).device_id
        before = self.book.paired.get(device_id)
        try:
            change = pairing.approve(
                self.book, self.present_rules(), reference=device_id, caller=caller
            )
        except UserFacingError:
            return
        self.book = change.book
        after = self.book.paired[device_id]
        if caller.kind == "operator":
            assert covers((*held(before), *caller.scopes), held(after))
            if not covers(caller.scopes, [ADMIN]):
                assert Role.NODE not in set(after.live_roles) - set(
                    before.live_roles if before else ()
                )
        for role in before.live_roles if before else ():
            kept = before.live_token(role) if before else None
            now = after.live_token(role)
            assert kept is not None
            assert now is not None
            assert kept.token == now.token
        assert self.book.pending_of(device_id) == ()

    @rule(seed=seeds, caller=callers)
    def reject(self, seed: int, caller: Caller) -> None:
        self.settle()
        reference = key_pair(seed).device_id
        paired = self.book.paired
        try:
            self.book = pairing.reject(
                self.book, self.present_rules(), reference=reference, caller=caller
            ).book
        except UserFacingError:
            return
        assert self.book.paired is paired

    @rule(seed=seeds, role=roles, scopes=scope_sets)
    def admit(self, seed: int, role: str, scopes: list[str]) -> None:
        self.settle()
        wish = a_wish(seed, role=role, scopes=scopes)
        before = self.book.paired.get(wish.device_id)
        try:
            change = pairing.admit(
                self.book, self.present_rules(), wish=wish, caller=Caller("local"), via="silent"
            )
        except UserFacingError:
            assert before is not None
            assert before.revoked(role)
            return
        if role == Role.OPERATOR:
            self.asked.setdefault(wish.device_id, set()).update(scopes)
        self.book = change.book

    @rule(seed=seeds, role=roles, caller=callers)
    def revoke(self, seed: int, role: str, caller: Caller) -> None:
        device_id = key_pair(seed).device_id
        before = self.book.paired.get(device_id)
        try:
            self.book = token_life.revoke(
                self.book, self.present_rules(), device_id=device_id, role=role, caller=caller
            ).book
        except UserFacingError:
            return
        assert before is not None
        self.check_could_give(caller, before, role)
        assert self.book.paired[device_id].live_token(role) is None
        assert not any(role in item.asked_roles for item in self.book.pending_of(device_id)) or (
            before.revoked(role)
        )

    @rule(seed=seeds, role=roles, scopes=st.none() | scope_sets, caller=callers)
    def rotate(self, seed: int, role: str, scopes: list[str] | None, caller: Caller) -> None:
        device_id = key_pair(seed).device_id
        before = self.book.paired.get(device_id)
        try:
            change = token_life.rotate(
                self.book,
                self.present_rules(),
                device_id=device_id,
                role=role,
                scopes=scopes,
                caller=caller,
            )
        except UserFacingError:
            return
        self.book = change.book
        assert before is not None
        after, token = change.result
        assert after.baseline == before.baseline
        assert covers(before.baseline, token.scopes)
        assert caller.kind == "cli" or covers(caller.scopes, token.scopes)
        assert not before.revoked(role) or caller.kind == "cli" or covers(caller.scopes, [ADMIN])
        self.check_could_give(caller, before, role)

    def check_could_give(self, caller: Caller, device: PairedDevice, role: str) -> None:
        """Nobody touches what it could not give, except what is its own."""
        if caller.kind == "cli" or caller.device_id == device.device_id:
            return
        assert not caller.own_device_only or covers(caller.scopes, [ADMIN])
        assert covers(caller.scopes, device.granted_scopes(role))
        if role == Role.NODE and device.live_token(role):
            assert covers(caller.scopes, [ADMIN])

    @rule(seed=seeds, caller=callers)
    def remove(self, seed: int, caller: Caller) -> None:
        device_id = key_pair(seed).device_id
        try:
            change = device_life.remove(
                self.book, self.present_rules(), device_id=device_id, caller=caller
            )
        except UserFacingError:
            return
        self.book = change.book
        for role in change.result.live_roles:
            self.check_could_give(caller, change.result, role)
        assert device_id not in self.book.paired
        assert self.book.pending_of(device_id) == ()

    @rule(by_ms=st.sampled_from([1, TTL_MS // 2, TTL_MS, -1, -TTL_MS, 10 * TTL_MS]))
    def time_passes_or_is_set_back(self, by_ms: int) -> None:
        self.now_ms += by_ms

    @invariant()
    def a_device_has_one_request_at_most(self) -> None:
        devices = [item.device_id for item in self.book.pending.values()]
        assert len(devices) == len(set(devices))

    @invariant()
    def requests_are_filed_under_their_own_id(self) -> None:
        assert all(key == item.request_id for key, item in self.book.pending.items())

    @invariant()
    def nothing_is_held_that_was_not_asked_for(self) -> None:
        for device in self.book.paired.values():
            assert set(held(device)) <= self.asked.get(device.device_id, set())

    @invariant()
    def nothing_is_held_beyond_the_baseline(self) -> None:
        for device in self.book.paired.values():
            assert covers(device.baseline, held(device))
            assert device.granted_scopes(Role.NODE) == ()

    @invariant()
    def what_is_left_after_settling_is_alive_and_still_needed(self) -> None:
        book = pairing.drop_expired(pairing.heal(self.book), self.present_rules()).book
        for item in book.pending.values():
            assert abs(self.now_ms - item.ts) < TTL_MS
            assert not pairing.covered(book, item)
            assert not item.is_repair or item.device_id in book.paired


AnySequence.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAnySequence = pytest.mark.slow(AnySequence.TestCase)
