"""Devices named, blocked and forgotten; `test_token_life` has their tokens."""

from __future__ import annotations

import attrs
import pytest

from stores import device_life, pairing
from stores.errors import BadLabelError, NotAllowedError, UnknownDeviceError
from stores.records import DeviceBook, DeviceNote, Role
from stores.scopes import ADMIN, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.builders import (
    ADMIN_SESSION,
    CLI,
    NOW_MS,
    PAIRING_SESSION,
    a_book,
    a_device,
    a_request,
    a_token,
    a_wish,
    key_pair,
    some_rules,
)

OPERATOR, NODE = Role.OPERATOR, Role.NODE
ID, OTHER = key_pair(1).device_id, key_pair(2).device_id
UNKNOWN = "ab" * 32
OWN_TOKEN = Caller("operator", (PAIRING,), device_id=ID, own_device_only=True)
REVOKED = a_device(tokens={OPERATOR: a_token(revoked_at_ms=NOW_MS - 1)})


def remove(book: DeviceBook, *, device_id: str = ID, caller: Caller = CLI):
    return device_life.remove(book, some_rules(), device_id=device_id, caller=caller)


def rename(book: DeviceBook, label: str, *, device_id: str = ID, caller: Caller = CLI):
    return device_life.rename(book, some_rules(), device_id=device_id, label=label, caller=caller)


def block(book: DeviceBook, *, device_id: str = ID, caller: Caller = CLI):
    return device_life.block(book, some_rules(), device_id=device_id, caller=caller)


def unblock(book: DeviceBook, *, device_id: str = ID, caller: Caller = CLI):
    return device_life.unblock(book, some_rules(), device_id=device_id, caller=caller)


def told(change) -> list[str]:
    return [line.event.removeprefix("device.") for line in change.audit]


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(ID, id="the-id"),
        pytest.param(ID.upper(), id="upper-case"),
        pytest.param(f" {ID}\n", id="with-spaces"),
        pytest.param(ID[:8], id="its-beginning"),
        pytest.param(ID[:9].upper(), id="its-beginning-upper-case"),
    ],
)
def test_a_device_is_named_by_its_id_or_the_beginning_of_it(reference):
    assert device_life.find_device(a_book(a_device(1), a_device(2)), reference) == a_device(1)


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param("", id="nothing"),
        pytest.param(ID[:7], id="too-short"),
        pytest.param(UNKNOWN, id="another-id"),
        pytest.param(ID + "0", id="too-long"),
        pytest.param(ID[1:20], id="not-the-beginning"),
    ],
)
def test_what_names_no_device_is_told_with_where_to_look(reference):
    with pytest.raises(UnknownDeviceError) as caught:
        device_life.find_device(a_book(a_device(1)), reference)

    assert caught.value.wire_message == "unknown deviceId"
    assert "`openclaw devices list`" in str(caught.value.remedy)


def test_a_beginning_that_two_devices_share_names_neither():
    twins = {"aaaaaaaa1" * 7 + "a": a_device(1), "aaaaaaaa2" * 7 + "a": a_device(2)}

    with pytest.raises(UnknownDeviceError, match="2 devices have an id that begins with"):
        device_life.find_device(DeviceBook(paired=twins), "AAAAAAAA")


def test_a_removed_device_leaves_no_record_no_request_and_no_name():
    book = a_book(
        a_device(1),
        a_device(2),
        a_request(1, scopes=[ADMIN]),
        a_request(2, scopes=[ADMIN]),
        notes={ID: DeviceNote(label="phone"), OTHER: DeviceNote(label="desk")},
    )

    change = remove(book)

    assert change.result == a_device(1)
    assert list(change.book.paired) == [OTHER]
    assert [item.device_id for item in change.book.pending.values()] == [OTHER]
    assert change.book.notes == {OTHER: DeviceNote(label="desk")}
    assert told(change) == ["removed", "rejected"]
    assert {line.device_id for line in change.audit} == {ID}


def test_a_removed_device_may_ask_again():
    after = remove(a_book(a_device(1))).book

    asked = pairing.request(after, some_rules(), wish=a_wish(1))

    assert asked.result.is_repair is False


def test_a_block_outlives_a_removal_and_nothing_else_of_the_note_does():
    book = a_book(a_device(1), notes={ID: DeviceNote(label="phone", blocked=True)})

    assert remove(book).book.notes == {ID: DeviceNote(blocked=True)}


def test_a_removal_does_not_touch_the_files_it_need_not():
    book = a_book(a_device(1), a_request(2), notes={OTHER: DeviceNote(label="desk")})

    after = remove(book).book

    assert after.pending is book.pending
    assert after.notes is book.notes


@pytest.mark.parametrize(
    ("caller", "device", "wire_message"),
    [
        pytest.param(PAIRING_SESSION, a_device(scopes=[ADMIN]), f"missing scope: {ADMIN}", id="admin"),
        pytest.param(PAIRING_SESSION, a_device(scopes=[READ]), f"missing scope: {READ}", id="read"),
        pytest.param(
            PAIRING_SESSION, a_device(roles=[NODE], scopes=[]), f"missing scope: {ADMIN}", id="node"
        ),
        pytest.param(PAIRING_SESSION, REVOKED, f"missing scope: {ADMIN}", id="forgets-a-revocation"),
        pytest.param(OWN_TOKEN, REVOKED, f"missing scope: {ADMIN}", id="forgets-its-own-revocation"),
        pytest.param(
            attrs.evolve(OWN_TOKEN, device_id=OTHER),
            a_device(scopes=[]),
            "device pairing removal denied",
            id="another-device-by-device-token",
        ),
        pytest.param(
            Caller("operator", (WRITE,)), a_device(scopes=[]), f"missing scope: {PAIRING}", id="write"
        ),
        pytest.param(
            Caller("self", (ADMIN,), device_id=ID),
            a_device(scopes=[]),
            "device pairing removal denied",
            id="the-device-without-a-session",
        ),
        pytest.param(Caller("task"), a_device(scopes=[]), "device pairing removal denied", id="task"),
        pytest.param(Caller("local"), a_device(scopes=[]), "device pairing removal denied", id="local"),
    ],
)  # fmt: skip
def test_who_may_not_remove_a_device(caller, device, wire_message):
    with pytest.raises(NotAllowedError) as caught:
        remove(a_book(device), caller=caller)

    assert caught.value.wire_message == wire_message


@pytest.mark.parametrize(
    ("caller", "device"),
    [
        pytest.param(CLI, REVOKED, id="the-owner-of-the-folder"),
        pytest.param(ADMIN_SESSION, a_device(roles=[OPERATOR, NODE]), id="admin"),
        pytest.param(ADMIN_SESSION, REVOKED, id="admin-a-revoked-role"),
        pytest.param(OWN_TOKEN, a_device(scopes=[ADMIN]), id="itself"),
        pytest.param(OWN_TOKEN, a_device(roles=[OPERATOR, NODE]), id="itself-with-a-node-role"),
        pytest.param(
            Caller("operator", (PAIRING, WRITE)), a_device(scopes=[READ]), id="who-holds-it-all"
        ),
        pytest.param(
            Caller("operator", (ADMIN,), device_id=OTHER, own_device_only=True),
            a_device(scopes=[ADMIN]),
            id="another-device-by-an-admin-token",
        ),
    ],
)
def test_who_may_remove_a_device(caller, device):
    assert remove(a_book(device), caller=caller).book.paired == {}


@pytest.mark.parametrize(
    "transition",
    [
        pytest.param(remove, id="remove"),
        pytest.param(lambda book, **w: rename(book, "x", **w), id="rename"),
        pytest.param(block, id="block"),
    ],
)
def test_who_may_touch_only_itself_is_not_told_which_devices_there_are(transition):
    book = a_book(a_device(1), a_device(2))
    said = set()
    for reference in (OTHER, OTHER[:8], "cd" * 4):
        with pytest.raises(NotAllowedError) as caught:
            transition(book, device_id=reference, caller=OWN_TOKEN)
        said.add((caught.value.problem, caught.value.wire_message))

    assert len(said) == 1


def test_a_label_is_stripped_and_kept_beside_what_was_noted():
    book = a_book(a_device(1), notes={ID: DeviceNote(approved_via="owner")})

    change = rename(book, "  Ann's phone ")

    assert change.result == "Ann's phone"
    assert change.book.notes[ID] == DeviceNote(label="Ann's phone", approved_via="owner")
    assert change.book.paired is book.paired
    assert told(change) == ["renamed"]


def test_the_same_label_again_is_no_change():
    book = a_book(a_device(1), notes={ID: DeviceNote(label="phone")})

    change = rename(book, "phone")

    assert change.book is book
    assert change.audit == ()


@pytest.mark.parametrize(
    "label",
    [
        pytest.param("", id="empty"),
        pytest.param(" \t ", id="blank"),
        pytest.param("x" * 65, id="too-long"),
        pytest.param("a\nb", id="line-break"),
        pytest.param("a\x1b[2Jb", id="terminal-command"),
        pytest.param("a\u202eb", id="text-that-turns-round"),
        pytest.param("a\ud800b", id="half-a-character"),
        pytest.param("a\u2028b", id="line-separator"),
    ],
)
def test_a_label_that_does_not_print_is_refused(label):
    with pytest.raises(BadLabelError) as caught:
        rename(a_book(a_device(1)), label)

    assert "1 to 64 printable characters" in caught.value.wire_message
    assert label not in str(caught.value) or not label


@pytest.mark.parametrize("label", ["x" * 64, "Büro 2 · 打印机", "🖨"])
def test_a_label_may_be_any_text_that_prints(label):
    assert rename(a_book(a_device(1)), label).result == label


def test_pairing_is_enough_to_name_a_device():
    rename(a_book(a_device(scopes=[ADMIN])), "desk", caller=PAIRING_SESSION)

    with pytest.raises(NotAllowedError):
        rename(a_book(a_device()), "desk", caller=Caller("operator", (WRITE,)))


def test_a_blocked_device_keeps_its_record_and_loses_its_requests():
    book = a_book(
        a_device(1),
        a_request(1, scopes=[ADMIN]),
        a_request(2),
        notes={ID: DeviceNote(label="phone")},
    )

    change = block(book, device_id=ID[:12])

    assert change.result == ID
    assert change.book.paired is book.paired
    assert [item.device_id for item in change.book.pending.values()] == [OTHER]
    assert change.book.notes == {ID: DeviceNote(label="phone", blocked=True)}
    assert told(change) == ["blocked", "rejected"]


@pytest.mark.parametrize(
    "reference",
    [pytest.param(UNKNOWN, id="whole"), pytest.param(UNKNOWN.upper(), id="upper-case")],
)
def test_an_id_that_nobody_knows_can_be_blocked_if_it_is_whole(reference):
    change = block(a_book(), device_id=reference)

    assert change.result == UNKNOWN
    assert change.book.blocked(UNKNOWN)


def test_a_device_that_only_asks_is_blocked_by_the_beginning_of_its_id():
    assert block(a_book(a_request(1)), device_id=ID[:8]).book.pending == {}


@pytest.mark.parametrize("reference", ["ab" * 31, "zz" * 32, "phone"])
def test_what_is_no_device_id_cannot_be_blocked(reference):
    with pytest.raises(UnknownDeviceError):
        block(a_book(), device_id=reference)


def test_a_blocked_device_is_not_blocked_twice():
    book = a_book(notes={ID: DeviceNote(blocked=True)})

    assert block(book).book is book
    assert block(book).audit == ()


def test_an_unblocked_device_comes_back_as_it_was():
    before = a_book(a_device(1), notes={ID: DeviceNote(label="phone")})

    change = unblock(block(before).book)

    assert change.book == before
    assert told(change) == ["unblocked"]


def test_an_unblocked_stranger_leaves_no_note():
    assert unblock(block(a_book()).book).book.notes == {}


def test_what_was_not_blocked_is_not_unblocked():
    book = a_book(a_device(1))

    assert unblock(book).book is book
    assert unblock(book).audit == ()


@pytest.mark.parametrize("transition", [block, unblock])
def test_who_could_not_give_it_neither_blocks_nor_unblocks_it(transition):
    book = a_book(
        a_device(1, scopes=[ADMIN]), notes={ID: DeviceNote(blocked=transition is unblock)}
    )

    with pytest.raises(NotAllowedError) as caught:
        transition(book, caller=PAIRING_SESSION)

    assert caught.value.missing_scopes == (ADMIN,)
