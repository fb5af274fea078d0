"""The second approval of a node: which of its commands an operator approved, in ``nodes/``.

Source: protocol fact, the node store of 2026.2.19 (``nodes/pending.json``, ``nodes/paired.json``),
which keeps two kinds of records here. A *surface* belongs to a paired device: what it declared at
its last connect, and what of it was approved. A *legacy* record belongs to nobody who connects: an
operator asked for it, and its token proves only that it was approved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from stores.errors import NotAllowedError, TooManyPendingError, TransitionError, UnknownRequestError
from stores.records import EMPTY
from stores.request_id import plain_id, request_code
from stores.scopes import ADMIN, PAIRING, missing
from stores.transition import Caller

T = TypeVar("T")

#: Legacy requests, which any operator with operator.pairing may make, that may wait at once.
MAX_LEGACY = 200

#: Life of a legacy request; a surface waits as long as its device is paired.
LEGACY_TTL_MS = 300_000

#: Longest list of commands or capabilities of one node that is kept.
MAX_COMMANDS = 512

#: Fewer characters of a node id name no node.
MIN_PREFIX = 8


@frozen
class NodeRequest:
    """A node whose commands wait for approval; ``surface`` marks one that is a paired device."""

    request_id: str
    node_id: str
    client_id: str | None = None
    client_mode: str | None = None
    display_name: str | None = None
    platform: str | None = None
    version: str | None = None
    core_version: str | None = None
    ui_version: str | None = None
    device_family: str | None = None
    model_identifier: str | None = None
    caps: tuple[str, ...] | None = None
    commands: tuple[str, ...] | None = None
    remote_ip: str | None = None
    silent: bool | None = None
    is_repair: bool | None = None
    ts: int = 0
    surface: bool | None = None
    extra: Mapping[str, Any] = EMPTY


@frozen
class NodeRecord:
    """A node whose commands were approved; only a legacy one has a token."""

    node_id: str
    token: str | None = field(default=None, repr=False)
    display_name: str | None = None
    platform: str | None = None
    version: str | None = None
    core_version: str | None = None
    ui_version: str | None = None
    device_family: str | None = None
    model_identifier: str | None = None
    caps: tuple[str, ...] | None = None
    commands: tuple[str, ...] | None = None
    remote_ip: str | None = None
    created_at_ms: int = 0
    approved_at_ms: int = 0
    surface: bool | None = None
    extra: Mapping[str, Any] = EMPTY


@frozen
class NodeBook:
    """Everything the node store knows, as one immutable value."""

    pending: Mapping[str, NodeRequest] = EMPTY
    paired: Mapping[str, NodeRecord] = EMPTY

    def pending_of(self, node_id: str) -> NodeRequest | None:
        """Return what waits of one node, or None."""
        return next((one for one in self.pending.values() if one.node_id == node_id), None)


@frozen
class NodeRules:
    """What a transition needs from outside."""

    now_ms: int
    store_key: bytes = field(repr=False)
    new_token: Callable[[], str]
    taken: Callable[[str], bool] = lambda _code: False


@frozen
class NodeChange:
    """What a transition made of the book: the new one, the answer, and its audit line."""

    book: NodeBook
    result: Any
    audit: Mapping[str, Any] | None = None


def drop_expired(book: NodeBook, *, now_ms: int) -> NodeBook:
    """Return the book without legacy requests whose time is over."""
    alive = {
        key: one
        for key, one in book.pending.items()
        if one.surface or now_ms - one.ts < LEGACY_TTL_MS
    }
    return book if len(alive) == len(book.pending) else attrs.evolve(book, pending=alive)


def declare(book: NodeBook, rules: NodeRules, *, wish: NodeRequest, since_ms: int) -> NodeChange:
    """Note what a paired node declares; what was not approved yet becomes its one request.

    Args:
        wish: What it declares; its ``request_id`` is made here.
        since_ms: When the device was paired: an approval from before was of another pairing.

    Returns:
        The result is the request that is new, or None: nothing has to be told.
    """
    caps, commands = _bounded(wish.caps), _bounded(wish.commands)
    wish = attrs.evolve(wish, caps=caps, commands=commands, surface=True, ts=rules.now_ms)
    record, waiting = book.paired.get(wish.node_id), book.pending_of(wish.node_id)
    paired = book.paired
    if record is not None and not stands(record, since_ms=since_ms):
        paired, record = _without(paired, wish.node_id), None
    pending = book.pending if waiting is None else _without(book.pending, waiting.request_id)
    approved = frozenset((record.commands or ()) if record is not None else ())
    if approved.issuperset(commands):
        return NodeChange(NodeBook(pending, paired), None)
    request_id = request_code(
        rules.store_key,
        device_id=wish.node_id,
        roles=("node-commands",),
        scopes=(*caps, "|", *commands),
        platform=wish.platform,
        device_family=wish.device_family,
        taken=lambda code: code in pending or rules.taken(code),
    )
    repair = True if record is not None else None
    wish = attrs.evolve(wish, request_id=request_id, is_repair=repair)
    if waiting is not None and waiting.request_id == request_id:
        if attrs.evolve(wish, ts=waiting.ts) == waiting:
            return NodeChange(attrs.evolve(book, paired=paired), None)
        return NodeChange(NodeBook({**pending, request_id: wish}, paired), None)
    return NodeChange(NodeBook({**pending, request_id: wish}, paired), wish)


def stands(record: NodeRecord, *, since_ms: int) -> bool:
    """Tell whether an approval is one of the present pairing of a device."""
    return bool(record.surface) and record.approved_at_ms >= since_ms


def ask(
    book: NodeBook, rules: NodeRules, *, wish: NodeRequest, device_known: bool, request_id: str
) -> NodeChange:
    """Note a legacy request; one that waits already is returned as it is.

    Returns:
        The result is ``(request, created)``.

    Raises:
        TransitionError: the id is that of a paired device, which asks by connecting.
        TooManyPendingError: too many wait.
    """
    if device_known:
        raise TransitionError(
            "this node is a paired device: it asks by itself when it connects",
            remedy="see `openclaw nodes pending`",
            wire_message="node is a paired device; it asks when it connects",
        )
    waiting = book.pending_of(wish.node_id)
    if waiting is not None:
        return NodeChange(book, (waiting, False))
    if sum(not one.surface for one in book.pending.values()) >= MAX_LEGACY:
        raise TooManyPendingError(
            f"{MAX_LEGACY} node requests wait already",
            remedy="decide some of them: `openclaw nodes pending`",
            wire_message="too many pending node requests",
        )
    wish = attrs.evolve(
        wish, request_id=request_id, is_repair=wish.node_id in book.paired, ts=rules.now_ms
    )
    return NodeChange(NodeBook({**book.pending, request_id: wish}, book.paired), (wish, True))


def approve(
    book: NodeBook,
    rules: NodeRules,
    *,
    reference: str,
    caller: Caller,
    needed: Callable[[tuple[str, ...]], tuple[str, ...]],
) -> NodeChange:
    """Approve what a node declared; the result is ``(request, record)``.

    Args:
        needed: Which scopes approving these commands takes.

    Raises:
        UnknownRequestError: nothing waits under that id.
        NotAllowedError: with the scopes the caller lacks.
    """
    _check_own(caller, reference, book)
    item = find_request(book, reference)
    commands = item.commands or ()
    _check_holds(caller, needed(commands))
    known = book.paired.get(item.node_id)
    record = NodeRecord(
        node_id=item.node_id,
        token=None if item.surface else rules.new_token(),
        display_name=item.display_name,
        platform=item.platform,
        version=item.version,
        core_version=item.core_version,
        ui_version=item.ui_version,
        device_family=item.device_family,
        model_identifier=item.model_identifier,
        caps=item.caps,
        commands=item.commands,
        remote_ip=item.remote_ip,
        created_at_ms=known.created_at_ms if known else rules.now_ms,
        approved_at_ms=rules.now_ms,
        surface=item.surface,
    )
    pending = _without(book.pending, item.request_id)
    line = _line("node.approve", item, caller) | {"commands": list(commands)}
    return NodeChange(
        NodeBook(pending, {**book.paired, item.node_id: record}), (item, record), line
    )


def reject(book: NodeBook, _rules: NodeRules, *, reference: str, caller: Caller) -> NodeChange:
    """Turn down what a node declared; the result is the request.

    Raises:
        UnknownRequestError: nothing waits under that id.
    """
    _check_own(caller, reference, book)
    item = find_request(book, reference)
    _check_holds(caller, (PAIRING,))
    pending = _without(book.pending, item.request_id)
    return NodeChange(NodeBook(pending, book.paired), item, _line("node.reject", item, caller))


def remove(book: NodeBook, _rules: NodeRules, *, node_id: str, caller: Caller) -> NodeChange:
    """Take a node's approval away; the result tells whether there was anything of it.

    What it declares the next time waits for an operator again.
    """
    _check_own(caller, node_id, book)
    _check_holds(caller, (PAIRING,))
    waiting = book.pending_of(node_id)
    pending = book.pending if waiting is None else _without(book.pending, waiting.request_id)
    if node_id not in book.paired:
        return NodeChange(NodeBook(pending, book.paired), result=waiting is not None)
    line = {"event": "node.remove", "nodeId": node_id, "by": caller.described()}
    return NodeChange(NodeBook(pending, _without(book.paired, node_id)), result=True, audit=line)


def rename(book: NodeBook, _rules: NodeRules, *, node_id: str, name: str) -> NodeChange:
    """Name a legacy node; the result is its record.

    Raises:
        TransitionError: there is none of that id.
    """
    record = book.paired.get(node_id)
    if record is None or record.surface:
        raise TransitionError(
            f"no node has the id {node_id[:64]!r}",
            remedy="see `openclaw nodes list`",
            wire_message="unknown nodeId",
        )
    named = attrs.evolve(record, display_name=name)
    return NodeChange(attrs.evolve(book, paired={**book.paired, node_id: named}), named)


def verified(book: NodeBook, *, node_id: str, token: str) -> NodeRecord | None:
    """Return the legacy node whose token this is, or None; an empty token is nobody's."""
    record = book.paired.get(node_id)
    if record is None or not record.token:
        return None
    import hmac  # late: it loads OpenSSL, which a reader of the store has no use for

    same = hmac.compare_digest(record.token.encode(), token.encode("utf-8", "surrogatepass"))
    return record if same else None


def find_request(book: NodeBook, reference: str) -> NodeRequest:
    """Return what waits under an id in any spelling, or of the node with that id or its beginning.

    Raises:
        UnknownRequestError: nothing does, or several do.
    """
    wanted, plain = reference.strip(), plain_id(reference)
    exact = [one for key, one in book.pending.items() if plain_id(key) == plain]
    found = exact or [
        one
        for one in book.pending.values()
        if one.node_id == wanted
        or (len(wanted) >= MIN_PREFIX and one.node_id.startswith(wanted.lower()))
    ]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} nodes answer to" if found else "no node request has the id"
    raise UnknownRequestError(
        f"{problem} {wanted[:64]!r}",
        remedy="see what waits with `openclaw nodes pending`",
        wire_message="unknown requestId",
    )


def _bounded(names: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(sorted(set(names or ())))[:MAX_COMMANDS]


def _without(records: Mapping[str, T], key: str) -> dict[str, T]:
    return {each: record for each, record in records.items() if each != key}


def _check_holds(caller: Caller, needed: tuple[str, ...]) -> None:
    lacking = missing(caller.scopes, needed) if caller.kind == "operator" else ()
    if lacking:
        raise NotAllowedError(
            f"this needs {', '.join(lacking)}, which the caller does not have",
            wire_message=f"missing scope: {lacking[0]}",
            missing_scopes=lacking,
        )


def _check_own(caller: Caller, reference: str, book: NodeBook) -> None:
    """Refuse a session that proved only a device token whatever is not its own device's."""
    if not caller.own_device_only or ADMIN in caller.scopes:
        return
    waiting = book.pending_of(caller.device_id or "")
    own = {caller.device_id} | ({plain_id(waiting.request_id)} if waiting else set())
    if reference not in own and plain_id(reference) not in own:
        raise NotAllowedError(
            "a session with a device token decides only for its own device",
            wire_message="node pairing decision denied",
        )


def _line(event: str, item: NodeRequest, caller: Caller) -> dict[str, Any]:
    who = {"requestId": item.request_id, "nodeId": item.node_id}
    return {"event": event} | who | {"by": caller.described()}
