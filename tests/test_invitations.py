"""An invitation counts as often as it says, for the key that brought it, and never gives more."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs
import pytest

from stores import device_life, pairing, token_life
from stores.devices import DeviceStore
from stores.errors import NotAllowedError, TransitionError
from stores.invitations import (
    KEPT_MS,
    MOST,
    REFUSED,
    USUAL_MS,
    Flaw,
    Redeemed,
    Terms,
    hash_of,
    invite,
    outstanding,
    redeem_invitation,
    revoke_invitation,
    standing,
)
from stores.records import DeviceBook, Invitation, Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from stores.transition import Caller, Change
from tests.builders import (
    ADMIN_SESSION,
    CLI,
    NOW_MS,
    PAIRING_SESSION,
    a_book,
    a_device,
    a_store,
    a_token,
    a_wish,
    events,
    key_pair,
    on_disk,
    some_rules,
)

OPERATOR, NODE = Role.OPERATOR, Role.NODE
SECRET = "the-secret-of-an-invitation"
DIGEST = hash_of(SECRET)
ID = key_pair(1).device_id
READER = Terms(OPERATOR, (READ,), "operator")
A_NODE = Terms(NODE, (), "node")
FULL = Terms(NODE, (ADMIN, READ), "full")


def inviting(
    book: DeviceBook, terms: Terms = A_NODE, caller: Caller = CLI, **rules: Any
) -> DeviceBook:
    return invite(book, some_rules(**rules), token=SECRET, terms=terms, caller=caller).book


def redeeming(book: DeviceBook, seed: int = 1, role: str = NODE, **rules: Any) -> Change[Redeemed]:
    wish = a_wish(seed, role=role)
    return redeem_invitation(book, some_rules(**rules), token=SECRET, wish=wish)


def redeemed(book: DeviceBook, seed: int = 1, role: str = NODE) -> DeviceBook:
    return redeeming(book, seed, role).book


def refusal(book: DeviceBook, seed: int = 1, role: str = NODE, **rules: Any) -> str:
    with pytest.raises(NotAllowedError) as caught:
        redeeming(book, seed, role, **rules)
    assert caught.value.wire_message == REFUSED
    return caught.value.problem


def test_only_the_hash_of_the_secret_is_kept(tmp_path):
    store = a_store(tmp_path)

    store.one(partial(invite, token=SECRET, terms=A_NODE, caller=CLI), now_ms=NOW_MS)

    assert list(on_disk(store, "bootstrap.json")) == [DIGEST]
    assert (tmp_path / "bootstrap.json").stat().st_mode & 0o777 == 0o600
    assert not any(SECRET in file.read_text() for file in tmp_path.glob("*.json*"))
    assert events(store) == ["invited"]


def test_a_new_device_gets_what_the_invitation_is_for():
    change = redeeming(inviting(a_book(), READER), role=OPERATOR)
    device = change.result.device

    assert device.granted_scopes(OPERATOR) == (READ,)
    assert change.book.notes[ID].approved_via == "bootstrap"
    assert change.book.notes[ID].approved_by == f"invitation {DIGEST[:8]}"
    assert [line.event for line in change.audit] == ["device.approved", "device.redeemed"]
    assert change.book.invitations[DIGEST].uses_left == 0
    assert change.book.invitations[DIGEST].bound_device_ids == (ID,)


def test_what_the_device_asks_for_does_not_matter_for_what_it_gets():
    book = inviting(a_book(), READER)
    wish = a_wish(1, scopes=(ADMIN,))

    device = redeem_invitation(book, some_rules(), token=SECRET, wish=wish).result.device

    assert device.baseline == (READ,)


def test_what_a_device_asked_for_before_neither_widens_its_code_nor_waits_on():
    book = pairing.request(
        inviting(a_book(), READER), some_rules(), wish=a_wish(1, scopes=(ADMIN,))
    ).book

    book = redeemed(book, role=OPERATOR)

    assert book.paired[ID].baseline == (READ,)
    assert book.paired[ID].tokens[OPERATOR].scopes == (READ,)
    assert book.pending == {}


def test_a_full_code_gives_a_node_an_operators_token_besides():
    device = redeeming(inviting(a_book(), FULL)).result.device

    assert set(device.live_roles) == {NODE, OPERATOR}
    assert device.role == NODE
    assert set(device.granted_scopes(OPERATOR)) == {ADMIN, READ}


def test_the_same_key_may_come_again_and_another_may_not():
    book = redeemed(inviting(a_book()))

    again = redeeming(book)

    assert again.book is book
    assert again.audit == ()
    assert again.result.device.tokens == book.paired[ID].tokens
    assert refusal(book, seed=2) == "the setup code is used"


def test_an_invitation_for_several_nodes_counts_each_key_once():
    book = inviting(a_book(), attrs.evolve(A_NODE, uses=2))

    book = redeemed(redeemed(redeemed(book)), seed=2)

    assert refusal(book, seed=3) == "the setup code is used"
    assert len(book.paired) == 2


@pytest.mark.parametrize(
    ("change", "now_ms", "flaw"),
    [
        pytest.param({}, NOW_MS + USUAL_MS - 1, None, id="in-time"),
        pytest.param({}, NOW_MS + USUAL_MS, Flaw.EXPIRED, id="too-late"),
        pytest.param({}, NOW_MS - 1, Flaw.EXPIRED, id="before-it-was-made"),
        pytest.param({"revoked_at_ms": 1}, NOW_MS, Flaw.REVOKED, id="revoked"),
        pytest.param({"uses_left": 0}, NOW_MS, Flaw.USED, id="used"),
        pytest.param({"role": OPERATOR}, NOW_MS, Flaw.OTHER_ROLE, id="another-role"),
    ],
)
def test_when_an_invitation_counts(change, now_ms, flaw):
    book = inviting(a_book())
    one = attrs.evolve(book.invitations[DIGEST], **change)
    book = attrs.evolve(book, invitations={DIGEST: one})

    found = standing(book, SECRET, device_id=ID, role=NODE, now_ms=now_ms)

    assert found == (one if flaw is None else flaw)


def test_a_secret_that_nobody_gave_out_is_unknown():
    assert refusal(a_book()) == "the setup code is unknown"
    assert standing(a_book(), DIGEST, device_id=ID, role=NODE, now_ms=NOW_MS) is Flaw.UNKNOWN


def test_the_hash_of_a_secret_is_no_secret():
    book = inviting(a_book())

    assert standing(book, DIGEST, device_id=ID, role=NODE, now_ms=NOW_MS) is Flaw.UNKNOWN


def test_a_paired_device_keeps_what_it_has_and_gets_no_more():
    book = inviting(a_book(a_device(1)), Terms(OPERATOR, (ADMIN, READ), "owner"))

    change = redeeming(book, role=OPERATOR)

    assert change.book.paired is book.paired
    assert change.result.item is None
    assert [(line.event, line.reason) for line in change.audit] == [
        ("device.redeemed", "already-paired")
    ]
    assert refusal(change.book, seed=2, role=OPERATOR) == "the setup code is used"


def test_a_device_that_has_more_is_not_told_its_token_for_less():
    book = inviting(a_book(a_device(1, scopes=(ADMIN,))), READER)

    assert refusal(book, role=OPERATOR) == "the setup code is for less than this device has"


def test_a_known_device_gets_no_other_role():
    book = inviting(a_book(a_device(1)))

    assert "gives a known device no other role" in refusal(book)


@pytest.mark.parametrize(
    ("take_away", "says"),
    [
        pytest.param(
            lambda b: device_life.remove(b, some_rules(), device_id=ID, caller=CLI).book,
            Flaw.ENDED,
            id="removed",
        ),
        pytest.param(
            lambda b: token_life.revoke(b, some_rules(), device_id=ID, role=NODE, caller=CLI).book,
            Flaw.ENDED,
            id="revoked",
        ),
        pytest.param(
            lambda b: (
                token_life.rotate(
                    b, some_rules(now_ms=NOW_MS + 5), device_id=ID, role=NODE, caller=CLI
                ).book
            ),
            Flaw.ENDED,
            id="rotated",
        ),
        pytest.param(
            lambda b: device_life.block(b, some_rules(), device_id=ID, caller=CLI).book,
            Flaw.BLOCKED,
            id="blocked",
        ),
    ],
)
def test_what_was_taken_away_does_not_come_back_by_the_same_code(take_away, says):
    book = take_away(redeemed(inviting(a_book())))

    assert refusal(book) == f"the setup code is {says}"


def test_a_revoked_role_does_not_come_back_by_a_new_code():
    device = a_device(1, roles=[NODE], tokens={NODE: a_token(NODE, revoked_at_ms=1)})

    assert "no other role" in refusal(inviting(a_book(device)))


def test_a_blocked_device_gets_nothing_by_a_new_code():
    blocked = device_life.block(a_book(), some_rules(), device_id=ID, caller=CLI).book

    assert refusal(inviting(blocked)) == f"the setup code is {Flaw.BLOCKED}"


@pytest.mark.parametrize(
    ("caller", "lacks"),
    [
        pytest.param(CLI, None, id="the-owner-of-the-files"),
        pytest.param(ADMIN_SESSION, None, id="an-admin"),
        pytest.param(PAIRING_SESSION, (ADMIN,), id="pairing-alone"),
        pytest.param(Caller("self", device_id=ID), (), id="the-device-itself"),
        pytest.param(Caller("rule", rule="lan"), (), id="a-rule"),
    ],
)
def test_who_may_invite_and_revoke(caller, lacks):
    if lacks is None:
        book = inviting(a_book(), caller=caller)
        ended = revoke_invitation(book, some_rules(), reference=DIGEST[:8], caller=caller)
        assert outstanding(ended.book, now_ms=NOW_MS) == {}
        return
    with pytest.raises(NotAllowedError) as caught:
        inviting(a_book(), caller=caller)
    assert caught.value.missing_scopes == lacks
    with pytest.raises(NotAllowedError):
        revoke_invitation(inviting(a_book()), some_rules(), reference=DIGEST[:8], caller=caller)


@pytest.mark.parametrize(
    "terms",
    [
        pytest.param(Terms("admin"), id="a-role-there-is-not"),
        pytest.param(Terms(OPERATOR, (READ,), uses=2), id="an-operator-twice"),
        pytest.param(Terms(NODE, (ADMIN,), uses=2), id="an-operators-token-twice"),
        pytest.param(Terms(OPERATOR, (READ,), lasts_ms=86_400_001), id="an-operator-too-long"),
        pytest.param(Terms(NODE, (ADMIN,), lasts_ms=86_400_001), id="such-a-node-too-long"),
        pytest.param(Terms(NODE, lasts_ms=31 * 86_400_000), id="a-node-too-long"),
        pytest.param(Terms(NODE, lasts_ms=0), id="no-time"),
        pytest.param(Terms(NODE, uses=0), id="never"),
        pytest.param(Terms(NODE, uses=101), id="too-often"),
    ],
)
def test_measures_that_no_invitation_has(terms):
    with pytest.raises(TransitionError):
        inviting(a_book(), terms)


def test_there_are_only_so_many_and_those_long_over_make_room():
    old = Invitation(NODE, created_at_ms=NOW_MS - 1, expires_at_ms=NOW_MS)
    full = attrs.evolve(a_book(), invitations={f"{n:064x}": old for n in range(MOST)})

    with pytest.raises(TransitionError, match="are on file already"):
        inviting(full)
    after = inviting(full, now_ms=NOW_MS + KEPT_MS)
    assert list(after.invitations) == [DIGEST]


@pytest.mark.parametrize("reference", ["", DIGEST[:7], "f" * 8, "00000000 "])
def test_what_names_no_invitation_ends_none(reference):
    with pytest.raises(TransitionError):
        revoke_invitation(inviting(a_book()), some_rules(), reference=reference, caller=CLI)


def test_a_revoked_invitation_is_refused_to_the_key_that_used_it_too():
    book = redeemed(inviting(a_book(), attrs.evolve(A_NODE, uses=2)))

    ended = revoke_invitation(book, some_rules(), reference=DIGEST, caller=CLI).book

    assert refusal(ended) == "the setup code is revoked"
    assert ended.paired is book.paired


def test_a_device_decision_leaves_invitations_alone(tmp_path):
    store = a_store(tmp_path)
    store.one(partial(invite, token=SECRET, terms=A_NODE, caller=CLI), now_ms=NOW_MS)
    store.one(partial(redeem_invitation, token=SECRET, wish=a_wish(1, role=NODE)), now_ms=NOW_MS)

    store.remove(ID, caller=CLI, now_ms=NOW_MS)

    assert list(on_disk(store, "bootstrap.json")) == [DIGEST]


def test_a_damaged_file_is_kept_aside_and_harms_no_device(tmp_path):
    store = a_store(tmp_path)
    store.one(partial(invite, token=SECRET, terms=FULL, caller=CLI), now_ms=NOW_MS)
    store.one(partial(redeem_invitation, token=SECRET, wish=a_wish(1, role=NODE)), now_ms=NOW_MS)
    (tmp_path / "bootstrap.json").write_text("{")

    fresh = DeviceStore(tmp_path)
    book = fresh.read()

    assert book.invitations == {}
    assert list(book.paired) == [ID]
    fresh.one(partial(invite, token="another", terms=A_NODE, caller=CLI), now_ms=NOW_MS)
    assert list(tmp_path.glob("bootstrap.json*corrupt*")) != []


def test_the_list_tells_only_what_still_opens_something():
    book = inviting(a_book(), attrs.evolve(READER, scopes=(READ, WRITE, PAIRING)))

    assert list(outstanding(book, now_ms=NOW_MS)) == [DIGEST]
    assert outstanding(book, now_ms=NOW_MS + USUAL_MS) == {}
    assert outstanding(redeemed(book, role=OPERATOR), now_ms=NOW_MS) == {}
