"""The access table and the code that decides: two ways to one verdict, on any facts."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from pathlib import Path

import pytest

from gateway.access_page import render
from gateway.policy.access import Admission, Admit, Facts, Refuse, RequirePairing, decide_access
from gateway.policy.approval import explain_pairing
from gateway.policy.credentials import Accepted
from gateway.policy.features import FEATURES, features_of, held_by
from gateway.policy.remedy import CommandWords, explain
from gateway.policy.table import ROWS, AccessRow, Entry, Gets, row_for
from stores.records import Role
from stores.scopes import meet
from tests.situations import any_facts

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "access.md"
ID = "ABCD-2345"

_ENTRIES = {
    (Admission.KNOWN, False): Entry.KNOWN,
    (Admission.PAIR, False): Entry.PAIRED,
    (Admission.UPGRADE, False): Entry.UPGRADED,
    (Admission.PAIR, True): Entry.PAIRED_BY_RULE,
    (Admission.UPGRADE, True): Entry.UPGRADED_BY_RULE,
    (Admission.INVITED, False): Entry.INVITED,
}


def _samples() -> dict[str, list[Facts]]:
    """Return facts of each row: many situations, drawn the same way each time."""
    found: dict[str, list[Facts]] = defaultdict(list)
    draw = random.Random(4)
    for _ in range(12_000):
        facts = any_facts(draw)
        found[row_for(facts).name].append(facts)
    return found


SAMPLES = _samples()
CASES = [pytest.param(row, id=row.name) for row in ROWS]
REFUSALS = [pytest.param(row, id=row.name) for row in ROWS if row.told is not None]


@pytest.mark.parametrize("row", CASES)
def test_each_row_is_what_the_gateway_decides(row: AccessRow):
    assert SAMPLES[row.name], "no facts fall into this row: it says nothing"
    for facts in SAMPLES[row.name]:
        decision = decide_access(facts)

        match decision:
            case Refuse():
                assert row.verdict is decision.refusal
            case RequirePairing():
                assert row.verdict is decision.reason
            case Admit():
                _same_entry(row, decision, facts)


def _same_entry(row: AccessRow, decision: Admit, facts: Facts) -> None:
    entry = _ENTRIES[decision.admission, decision.rule is not None]
    assert row.verdict is (entry if decision.with_device else Entry.WITHOUT_DEVICE)
    assert decision.upgrade_pending == row.waits
    asked = facts.params.scopes
    if facts.role != Role.OPERATOR or row.gets is Gets.NONE:
        assert decision.scopes == ()
    elif row.gets is Gets.ASKED:
        assert set(decision.scopes) == set(asked)
    elif row.gets is Gets.SHARED_PART:
        assert decision.scopes == meet(asked, held_by(facts))
    elif row.gets is Gets.INVITED_PART:
        assert isinstance(facts.credential, Accepted)
        assert facts.credential.invitation is not None
        assert decision.scopes == meet(asked, facts.credential.invitation.scopes)
    else:
        assert decision.rule is not None
        gives = (*held_by(facts), *decision.rule.grants)
        assert set(decision.scopes) <= set(meet(asked, gives))
        assert set(decision.scopes) >= set(meet(asked, held_by(facts)))


@pytest.mark.parametrize("row", REFUSALS)
def test_each_refusal_says_what_its_row_says(row: AccessRow):
    told = row.told
    assert told is not None
    helps: list[str | None] = []
    for facts in SAMPLES[row.name][:60]:
        decision = decide_access(facts)
        if isinstance(decision, RequirePairing):
            refused = explain_pairing(decision, facts, request_id=ID, words=CommandWords())
        else:
            assert isinstance(decision, Refuse)
            refused = explain(decision, facts)
        details = refused.error.details or {}

        assert refused.error.code == told.code
        assert refused.close_code == told.close_code
        assert _fits(told.text, refused.close_reason)
        assert _fits(told.text, refused.error.message)
        if told.detail is not None:
            assert details["code"] == told.detail
        command = details.get("remedy", {}).get("command")
        helps.append(command)
        assert command is None or _fits(told.command or "none", command)
    # Some commands are told only to who is local, or only where there is something to name.
    assert any(helps) is (told.command is not None)


def _fits(template: str, said: str) -> bool:
    pattern = re.escape(template).replace("…", ".*").replace("ID", ID)
    return re.fullmatch(pattern, said) is not None


def test_every_value_of_every_feature_is_met():
    met: dict[str, set[str]] = {name: set() for name in FEATURES}
    for facts in (facts for sample in SAMPLES.values() for facts in sample):
        for name, value in features_of(facts).items():
            met[name].add(value)

    assert {name: set(feature.values) for name, feature in FEATURES.items()} == met


def test_no_two_rows_share_a_name():
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_page_is_made_from_the_rows():
    assert PAGE.read_text() == render(), (
        "make it anew: python -m gateway.access_page docs/reference/access.md"
    )
