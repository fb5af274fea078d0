"""`stores.nodes`: the second approval of a node, as pure transitions."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from stores import nodes
from stores.errors import (
    NotAllowedError,
    TooManyPendingError,
    TransitionError,
    UnknownRequestError,
)
from stores.nodes import NodeBook, NodeRecord, NodeRequest, NodeRules
from stores.scopes import ADMIN, PAIRING
from stores.transition import Caller
from tests.builders import ADMIN_SESSION, CLI, NOW_MS, PAIRING_SESSION

NODE = "ab" * 32
RULES = NodeRules(now_ms=NOW_MS, store_key=b"k" * 32, new_token=lambda: "a-new-token")


def rules(now_ms: int = NOW_MS) -> NodeRules:
    """Return the rules of another moment."""
    return attrs.evolve(RULES, now_ms=now_ms)


def a_wish(**changes: Any) -> NodeRequest:
    """Return what a node declares at its connect."""
    wish = NodeRequest(
        request_id="", node_id=NODE, platform="linux", commands=("system.run",), caps=("system",)
    )
    return attrs.evolve(wish, **changes)


def waiting(**changes: Any) -> tuple[NodeBook, NodeRequest]:
    """Return a book in which a node waits, and its request."""
    change = nodes.declare(NodeBook(), RULES, wish=a_wish(**changes), since_ms=NOW_MS - 1)
    return change.book, change.result


def approve(book: NodeBook, reference: str = NODE, caller: Caller = CLI) -> nodes.NodeChange:
    """Approve what waits, where commands take admin."""
    needed = lambda commands: (PAIRING, ADMIN) if commands else (PAIRING,)  # noqa: E731  # one line
    return nodes.approve(book, RULES, reference=reference, caller=caller, needed=needed)


def approved() -> NodeBook:
    """Return a book with an approved node."""
    return approve(waiting()[0]).book


def legacy(book: NodeBook | None = None, node_id: str = "old-1", at: int = 1) -> nodes.NodeChange:
    """Ask for a node that is no device."""
    return nodes.ask(
        book or NodeBook(),
        RULES,
        wish=NodeRequest(request_id="", node_id=node_id, commands=("system.run",)),
        device_known=False,
        request_id=f"5b8e5b9e-0000-4000-8000-{at:012}",
    )


def test_what_a_node_declares_waits_under_a_short_code():
    book, request = waiting()

    assert len(request.request_id) == 9
    assert book.pending == {request.request_id: request}
    assert book.paired == {}
    assert (request.surface, request.ts, request.is_repair) == (True, NOW_MS, None)


def test_the_same_declaration_is_the_same_request_and_no_news():
    book, request = waiting()

    again = nodes.declare(book, rules(NOW_MS + 1), wish=a_wish(), since_ms=NOW_MS - 1)

    assert again.result is None
    assert again.book.pending == {request.request_id: request}


def test_another_address_refreshes_a_request_without_news():
    book, request = waiting()
    wish = a_wish(remote_ip="192.0.2.1")

    again = nodes.declare(book, RULES, wish=wish, since_ms=NOW_MS - 1)

    assert again.result is None
    assert again.book.pending[request.request_id].remote_ip == "192.0.2.1"


def test_other_commands_are_another_request_in_place_of_the_first():
    book, request = waiting()

    more = nodes.declare(book, RULES, wish=a_wish(commands=("b", "a")), since_ms=NOW_MS - 1)

    assert list(more.book.pending) == [more.result.request_id]
    assert more.result.request_id != request.request_id
    assert more.result.commands == ("a", "b")


def test_a_code_that_another_request_has_is_drawn_again():
    _, request = waiting()
    taken = attrs.evolve(RULES, taken=lambda code: code == request.request_id)

    change = nodes.declare(NodeBook(), taken, wish=a_wish(), since_ms=NOW_MS - 1)

    assert change.result.request_id != request.request_id


def test_a_node_without_commands_waits_for_nothing():
    change = nodes.declare(NodeBook(), RULES, wish=a_wish(commands=()), since_ms=0)

    assert (change.result, change.book.pending) == (None, {})


def test_the_list_of_commands_is_bounded():
    many = tuple(f"c{number:04}" for number in range(2 * nodes.MAX_COMMANDS))

    _, request = waiting(commands=many)

    assert len(request.commands or ()) == nodes.MAX_COMMANDS


@pytest.mark.parametrize("commands", [("system.run",), ()])
def test_what_was_approved_is_not_asked_again(commands: tuple[str, ...]):
    wish = a_wish(commands=commands)

    change = nodes.declare(approved(), RULES, wish=wish, since_ms=NOW_MS)

    assert (change.result, change.book.pending) == (None, {})


def test_more_than_was_approved_waits_and_the_approval_stays():
    wish = a_wish(commands=("system.run", "system.which"))

    change = nodes.declare(approved(), RULES, wish=wish, since_ms=NOW_MS)

    assert change.result.is_repair is True
    assert change.book.paired[NODE].commands == ("system.run",)


def test_an_approval_of_an_earlier_pairing_counts_no_more():
    change = nodes.declare(approved(), rules(NOW_MS + 9), wish=a_wish(), since_ms=NOW_MS + 5)

    assert change.result is not None
    assert change.book.paired == {}


@pytest.mark.parametrize(
    "spelt",
    [
        pytest.param(lambda request: request.request_id, id="as-shown"),
        pytest.param(lambda request: request.request_id.lower().replace("-", ""), id="typed"),
        pytest.param(lambda _: NODE, id="node-id"),
        pytest.param(lambda _: NODE[:8], id="beginning"),
    ],
)
def test_an_approval_names_the_request_or_the_node(spelt: Any):
    book, request = waiting()

    change = approve(book, spelt(request))

    assert change.result[0] == request
    record = change.book.paired[NODE]
    assert (record.commands, record.token, record.approved_at_ms) == (
        ("system.run",),
        None,
        NOW_MS,
    )
    assert change.book.pending == {}
    assert change.audit == {
        "event": "node.approve",
        "requestId": request.request_id,
        "nodeId": NODE,
        "by": {"kind": "cli", "uid": 1000},
        "commands": ["system.run"],
    }


@pytest.mark.parametrize("reference", ["AAAA-AAAA", NODE[:7], "cd" * 32, ""])
def test_an_id_that_nothing_waits_under_is_refused(reference: str):
    book, _ = waiting()

    with pytest.raises(UnknownRequestError) as caught:
        approve(book, reference)

    assert caught.value.wire_message == "unknown requestId"
    assert "openclaw nodes pending" in str(caught.value)


def test_an_id_that_begins_two_nodes_is_refused():
    book, _ = waiting()
    other = nodes.declare(book, RULES, wish=a_wish(node_id=NODE[:60] + "cdef"), since_ms=0).book

    with pytest.raises(UnknownRequestError, match="2 nodes answer to"):
        approve(other, NODE[:12])


def test_who_lacks_what_the_commands_take_approves_nothing():
    book, _ = waiting()

    with pytest.raises(NotAllowedError) as caught:
        approve(book, caller=PAIRING_SESSION)

    assert caught.value.missing_scopes == (ADMIN,)
    assert approve(book, caller=ADMIN_SESSION).book.paired


OWN = Caller("operator", scopes=(PAIRING,), device_id=NODE, own_device_only=True)
OTHER = attrs.evolve(OWN, device_id="f" * 64)
OTHER_ADMIN = attrs.evolve(OTHER, scopes=(ADMIN,))


def test_a_device_token_decides_for_its_own_device_alone():
    book, request = waiting()

    rejected = nodes.reject(book, RULES, reference=request.request_id.lower(), caller=OWN)

    assert rejected.book.pending == {}
    assert nodes.reject(book, RULES, reference=NODE, caller=OTHER_ADMIN).result == request
    for reference in (request.request_id, NODE, NODE[:8]):
        with pytest.raises(NotAllowedError, match="only for its own"):
            nodes.reject(book, RULES, reference=reference, caller=OTHER)
    with pytest.raises(NotAllowedError, match="only for its own"):
        nodes.remove(book, RULES, node_id=NODE, caller=OTHER)


def test_a_rejected_declaration_waits_again_at_the_next_connect():
    book, request = waiting()

    change = nodes.reject(book, RULES, reference=NODE, caller=PAIRING_SESSION)
    again = nodes.declare(change.book, RULES, wish=a_wish(), since_ms=0)

    assert change.result == request
    assert change.audit is not None
    assert again.result.request_id == request.request_id


def test_an_approval_taken_away_is_gone_with_what_waits():
    more = nodes.declare(approved(), RULES, wish=a_wish(commands=("b",)), since_ms=0).book

    change = nodes.remove(more, RULES, node_id=NODE, caller=PAIRING_SESSION)

    assert (change.result, change.book) == (True, NodeBook({}, {}))
    assert change.audit is not None


@pytest.mark.parametrize("known", [True, False])
def test_removing_tells_whether_there_was_anything(known: bool):
    book = waiting()[0] if known else NodeBook()

    change = nodes.remove(book, RULES, node_id=NODE, caller=CLI)

    assert (change.result, change.audit, change.book.pending) == (known, None, {})


def test_an_operator_without_pairing_removes_nothing():
    with pytest.raises(NotAllowedError):
        nodes.remove(approved(), RULES, node_id=NODE, caller=Caller("operator"))


def test_a_legacy_request_waits_once():
    first = legacy()
    second = legacy(first.book, at=2)

    assert first.result[1] is True
    assert second.result == (first.result[0], False)


def test_a_legacy_request_for_a_device_is_refused():
    wish = NodeRequest(request_id="", node_id=NODE)

    with pytest.raises(TransitionError, match="paired device"):
        nodes.ask(NodeBook(), RULES, wish=wish, device_known=True, request_id="x")


def test_legacy_requests_are_bounded():
    book = NodeBook()
    for number in range(nodes.MAX_LEGACY):
        book = legacy(book, f"old-{number}", number).book

    with pytest.raises(TooManyPendingError):
        legacy(book, "one-more")


def test_legacy_requests_expire_and_declarations_do_not():
    book = legacy(waiting()[0]).book

    later = nodes.drop_expired(book, now_ms=NOW_MS + nodes.LEGACY_TTL_MS)

    assert [one.node_id for one in later.pending.values()] == [NODE]
    assert nodes.drop_expired(book, now_ms=NOW_MS) is book


def test_a_legacy_approval_has_a_token_that_verifies():
    book = approve(legacy().book, "old-1").book

    assert nodes.verified(book, node_id="old-1", token="a-new-token") == book.paired["old-1"]
    assert "a-new-token" not in repr(book)


@pytest.mark.parametrize(
    ("node_id", "token"),
    [
        pytest.param("old-1", "another", id="wrong"),
        pytest.param("old-1", "\ud800", id="no-text"),
        pytest.param("old-2", "a-new-token", id="another-node"),
        pytest.param(NODE, "", id="a-device-has-none"),
    ],
)
def test_a_token_that_is_not_the_nodes_verifies_nothing(node_id: str, token: str):
    book = approve(legacy(approved()).book, "old-1").book

    assert nodes.verified(book, node_id=node_id, token=token) is None


def test_a_legacy_node_is_renamed_here_and_a_device_is_not():
    book = approve(legacy(approved()).book, "old-1").book

    named = nodes.rename(book, RULES, node_id="old-1", name="Garden")

    assert named.book.paired["old-1"].display_name == "Garden"
    for node_id in (NODE, "old-2"):
        with pytest.raises(TransitionError, match="no node has the id"):
            nodes.rename(book, RULES, node_id=node_id, name="Garden")


def test_an_older_approval_of_no_device_does_not_stand_for_one():
    record = NodeRecord(node_id=NODE, commands=("system.run",), approved_at_ms=NOW_MS)

    assert not nodes.stands(record, since_ms=0)
