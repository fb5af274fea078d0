from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.request_id import ALPHABET, plain_id, request_code

SAME: dict[str, Any] = {
    "device_id": "a" * 64,
    "roles": ("operator",),
    "scopes": ("operator.read", "operator.write"),
    "platform": "linux",
    "device_family": None,
}
KEY = b"k" * 32


def free(_: str) -> bool:
    return False


def test_the_same_wish_has_the_same_id_for_ever():
    assert request_code(KEY, **SAME, taken=free) == "MVU3-ZGGV"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"device_id": "b" * 64}, id="device"),
        pytest.param({"roles": ("node",)}, id="role"),
        pytest.param({"roles": ("operator", "node")}, id="more-roles"),
        pytest.param({"scopes": ("operator.read",)}, id="fewer-scopes"),
        pytest.param({"scopes": ()}, id="no-scopes"),
        pytest.param({"scopes": ("operator.admin", "operator.write")}, id="other-scopes"),
        pytest.param({"platform": "darwin"}, id="platform"),
        pytest.param({"platform": None}, id="no-platform"),
        pytest.param({"device_family": "phone"}, id="family"),
    ],
)
def test_another_wish_has_another_id(change):
    assert request_code(KEY, **SAME | change, taken=free) != request_code(KEY, **SAME, taken=free)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            {"platform": "a|b", "device_family": "c"},
            {"platform": "a", "device_family": "b|c"},
            id="a-bar-in-a-name",
        ),
        pytest.param({"scopes": ("a,b",)}, {"scopes": ("a", "b")}, id="a-comma-in-a-scope"),
        pytest.param(
            {"roles": ("operator", "x"), "scopes": ()},
            {"roles": ("operator",), "scopes": ("x",)},
            id="a-role-named-as-a-scope",
        ),
        pytest.param(
            {"platform": "x1:y", "device_family": ""},
            {"platform": "x", "device_family": "y"},
            id="a-length-in-a-name",
        ),
    ],
)
def test_no_separator_in_a_wish_makes_it_another_ones(one, other):
    assert request_code(KEY, **SAME | one, taken=free) != request_code(
        KEY, **SAME | other, taken=free
    )


def test_the_order_of_roles_and_scopes_does_not_matter():
    turned = SAME | {"scopes": SAME["scopes"][::-1]}

    assert request_code(KEY, **turned, taken=free) == request_code(KEY, **SAME, taken=free)


def test_nobody_computes_an_id_without_the_key():
    assert request_code(b"q" * 32, **SAME, taken=free) != request_code(KEY, **SAME, taken=free)


@given(st.text(), st.lists(st.text(), max_size=3), st.text() | st.none())
def test_an_id_has_the_alphabet_and_the_form_that_clients_accept(device_id, scopes, platform):
    wish = SAME | {"device_id": device_id, "scopes": tuple(scopes), "platform": platform}

    code = request_code(KEY, **wish, taken=free)

    assert re.fullmatch(f"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", code)
    assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", code)


def test_half_a_surrogate_pair_in_a_name_is_no_obstacle():
    assert request_code(KEY, **SAME | {"platform": "\ud83d"}, taken=free)


def test_the_alphabet_holds_nothing_to_mistake_on_a_phone_call():
    assert not set(ALPHABET) & set("01OIL")
    assert len(set(ALPHABET)) == 31


def test_an_id_that_is_taken_is_drawn_again():
    first = request_code(KEY, **SAME, taken=free)

    second = request_code(KEY, **SAME, taken={first}.__contains__)
    third = request_code(KEY, **SAME, taken={first, second}.__contains__)

    assert len({first, second, third}) == 3


def test_drawing_ends_even_if_every_id_is_taken():
    with pytest.raises(AssertionError):
        request_code(KEY, **SAME, taken=lambda _: True)


@pytest.mark.parametrize("spelling", ["ABCD-2345", "abcd-2345", "abcd2345", " ABCD2345\n"])
def test_case_dash_and_space_around_do_not_matter(spelling):
    assert plain_id(spelling) == "ABCD2345"
