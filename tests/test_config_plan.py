"""What a change means for a running gateway."""

import pytest

from stores.config.model import Config
from stores.config.plan import ReloadPlan, plan
from stores.config.validate import validate


def config(**gateway):
    found, findings = validate({"gateway": gateway})
    assert found is not None, findings.problems
    return found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param({}, {}, ReloadPlan(), id="nothing"),
        pytest.param({}, {"port": 1}, ReloadPlan(restart=("gateway.port",)), id="port"),
        pytest.param({}, {"mode": "local"}, ReloadPlan(), id="a-default-said"),
        pytest.param(
            {"auth": {"token": "a"}},
            {"auth": {"token": "b"}, "trustedProxies": ["10.0.0.1"]},
            ReloadPlan(apply=("gateway.auth.token", "gateway.trustedProxies")),
            id="hot",
        ),
        pytest.param(
            {"auth": {"token": "a"}},
            {"auth": {"password": "b"}},
            ReloadPlan(
                apply=("gateway.auth.token", "gateway.auth.password"),
                restart=("gateway.auth.mode",),
            ),
            id="a-password-changes-the-mode",
        ),
        pytest.param(
            {"auth": {"mode": "token"}},
            {"auth": {"mode": "none"}},
            ReloadPlan(restart=("gateway.auth.mode",)),
            id="mode",
        ),
    ],
)
def test_every_changed_key_is_applied_or_waits(old, new, expected):
    assert plan(config(**old), config(**new)) == expected


def test_all_changes_together_are_both_kinds():
    found = plan(Config(), config(port=1, trustedProxies=["10.0.0.1"]))

    assert found.changed == ("gateway.trustedProxies", "gateway.port")


@pytest.mark.parametrize("option", ["gateway.auth.token", "gateway.auth.password"])
def test_a_secret_of_the_command_line_says_the_mode(option):
    fixed = {option: "--an-option"}

    found = plan(Config(), config(auth={"passwordFile": "p"}), fixed=fixed)

    assert found.restart == ()


def test_a_mode_that_is_said_counts_beside_a_secret_of_the_command_line():
    old, new = config(auth={"mode": "token"}), config(auth={"mode": "none"})

    assert plan(old, new, fixed={"gateway.auth.token": "--token"}).restart == ("gateway.auth.mode",)
