from __future__ import annotations

import pytest

from stores.authority import check_may_decide, check_may_grant
from stores.errors import NotAllowedError
from stores.records import PairedDevice, Role
from stores.scopes import ADMIN, APPROVALS, PAIRING, READ, WRITE
from stores.transition import Caller
from tests.builders import NOW_MS, a_device, a_request, a_token, key_pair

OPERATOR, NODE = Role.OPERATOR, Role.NODE
OWN, OTHER = key_pair(1).device_id, key_pair(2).device_id


def operator(*scopes: str, device_id: str = OTHER, own_device_only: bool = False) -> Caller:
    return Caller("operator", scopes, device_id=device_id, own_device_only=own_device_only)


@pytest.mark.parametrize(
    "caller",
    [
        pytest.param(Caller("cli"), id="the-owner-of-the-folder"),
        pytest.param(Caller("local"), id="a-local-contact"),
        pytest.param(Caller("rule", rule="lan"), id="a-rule"),
        pytest.param(operator(PAIRING), id="pairing"),
        pytest.param(operator(ADMIN), id="admin"),
        pytest.param(operator(ADMIN, own_device_only=True), id="admin-by-device-token"),
        pytest.param(
            operator(PAIRING, device_id=OWN, own_device_only=True), id="its-own-device"
        ),
    ],
)  # fmt: skip
def test_who_may_decide_a_request(caller):
    check_may_decide(caller, a_request(1))


@pytest.mark.parametrize(
    ("caller", "wire_message", "lacking"),
    [
        pytest.param(operator(), "missing scope: operator.pairing", (PAIRING,), id="no-scopes"),
        pytest.param(
            operator(WRITE, APPROVALS),
            "missing scope: operator.pairing",
            (PAIRING,),
            id="all-but-pairing",
        ),
        pytest.param(
            operator(PAIRING, own_device_only=True),
            "device pairing approval denied",
            (),
            id="another-device-by-device-token",
        ),
        pytest.param(
            Caller("operator", (PAIRING,), own_device_only=True),
            "device pairing approval denied",
            (),
            id="no-device-by-device-token",
        ),
        pytest.param(
            Caller("self", (ADMIN,), device_id=OWN),
            "device pairing approval denied",
            (),
            id="the-device-itself",
        ),
        pytest.param(Caller("task"), "device pairing approval denied", (), id="a-task"),
    ],
)
def test_who_may_not_decide_a_request(caller, wire_message, lacking):
    with pytest.raises(NotAllowedError) as caught:
        check_may_decide(caller, a_request(1))

    assert caught.value.wire_message == wire_message
    assert caught.value.missing_scopes == lacking


REVOKED = a_device(scopes=[ADMIN], tokens={OPERATOR: a_token(revoked_at_ms=NOW_MS)})
NARROWED = a_device(scopes=[ADMIN], tokens={OPERATOR: a_token(scopes=(READ,))})


@pytest.mark.parametrize(
    ("caller", "known", "role", "scopes"),
    [
        pytest.param(Caller("cli"), None, NODE, [ADMIN], id="the-owner-of-the-folder-everything"),
        pytest.param(operator(PAIRING, READ), None, OPERATOR, [READ], id="what-it-holds"),
        pytest.param(operator(PAIRING, WRITE), None, OPERATOR, [READ], id="what-it-contains"),
        pytest.param(operator(PAIRING), None, OPERATOR, [], id="nothing"),
        pytest.param(operator(ADMIN), None, OPERATOR, [ADMIN, "operator.x"], id="admin-all"),
        pytest.param(operator(ADMIN), None, NODE, [], id="admin-a-node"),
        pytest.param(
            operator(PAIRING, READ),
            a_device(scopes=[ADMIN]),
            OPERATOR,
            [ADMIN],
            id="what-the-device-holds-already",
        ),
        pytest.param(
            operator(PAIRING), a_device(roles=[NODE], scopes=[]), NODE, [], id="a-node-that-is-one"
        ),
        pytest.param(operator(ADMIN), REVOKED, OPERATOR, [ADMIN], id="admin-a-revoked-role"),
    ],
)
def test_what_may_be_granted(
    caller: Caller, known: PairedDevice | None, role: str, scopes: list[str]
) -> None:
    check_may_grant(caller, known, a_request(role=role, scopes=scopes))


@pytest.mark.parametrize(
    ("caller", "known", "role", "scopes", "lacking"),
    [
        pytest.param(
            operator(PAIRING), None, OPERATOR, [ADMIN], (ADMIN,), id="pairing-only-gives-admin"
        ),
        pytest.param(
            operator(PAIRING), None, OPERATOR, [READ, WRITE], (READ, WRITE), id="both-are-told"
        ),
        pytest.param(
            operator(PAIRING, READ), None, OPERATOR, [WRITE], (WRITE,), id="more-than-it-holds"
        ),
        pytest.param(operator(PAIRING, WRITE), None, NODE, [], (ADMIN,), id="a-node-role"),
        pytest.param(operator(PAIRING, WRITE), None, "boss", [], (ADMIN,), id="a-role-of-tomorrow"),
        pytest.param(
            operator(PAIRING, WRITE),
            a_device(),
            NODE,
            [],
            (ADMIN,),
            id="a-node-role-for-an-operator",
        ),
        pytest.param(
            operator(PAIRING, READ),
            a_device(scopes=[READ]),
            OPERATOR,
            [READ, ADMIN],
            (ADMIN,),
            id="only-the-new-scope-lacks",
        ),
        pytest.param(
            operator(PAIRING, READ), NARROWED, OPERATOR, [WRITE], (WRITE,), id="what-was-taken-away"
        ),
        pytest.param(
            operator(PAIRING), REVOKED, OPERATOR, [], (ADMIN,), id="a-revoked-role-comes-back"
        ),
        pytest.param(
            operator(PAIRING, WRITE),
            a_device(roles=[NODE], scopes=[], tokens={NODE: a_token(NODE, revoked_at_ms=1)}),
            NODE,
            [],
            (ADMIN,),
            id="a-revoked-node-comes-back",
        ),
        pytest.param(
            operator(PAIRING),
            a_device(scopes=[ADMIN], tokens={}),
            OPERATOR,
            [ADMIN],
            (ADMIN,),
            id="a-record-without-tokens-holds-nothing",
        ),
    ],
)
def test_what_may_not_be_granted(
    caller: Caller,
    known: PairedDevice | None,
    role: str,
    scopes: list[str],
    lacking: tuple[str, ...],
) -> None:
    with pytest.raises(NotAllowedError) as caught:
        check_may_grant(caller, known, a_request(role=role, scopes=scopes))

    assert caught.value.missing_scopes == lacking
    assert caught.value.wire_message == f"missing scope: {lacking[0]}"
    assert all(scope in caught.value.problem for scope in lacking)
