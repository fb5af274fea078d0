"""What a unit sets, read from its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.status_unit import environment_of, variables_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("[Service]\nEnvironment=A=1 B=2\n", {"A": "1", "B": "2"}, id="two"),
        pytest.param('Environment="A=with space"\n', {"A": "with space"}, id="quoted"),
        pytest.param("Environment=A=50%%\n", {"A": "50%"}, id="percent"),
        pytest.param("Environment=A=1 \\\n  B=2\n", {"A": "1", "B": "2"}, id="continued"),
        pytest.param("Environment=A=1\nEnvironment=A=2\n", {"A": "2"}, id="last-counts"),
        pytest.param("# Environment=A=1\nEnvironmentFile=/f\n", {}, id="others"),
        pytest.param('Environment="A=open\n', {}, id="broken"),
    ],
)
def test_the_variables_of_a_unit(text: str, found: dict[str, str]):
    assert environment_of(text) == found


def test_a_drop_in_goes_before_the_unit_and_is_named(tmp_path: Path):
    unit = tmp_path / "openclaw-gateway.service"
    unit.write_text("[Service]\nEnvironment=A=1\n")
    folder = tmp_path / "openclaw-gateway.service.d"
    folder.mkdir()
    (folder / "10.conf").write_text("[Service]\nEnvironment=A=2\n")

    assert list(variables_of(unit)) == [(unit, "A", "1"), (folder / "10.conf", "A", "2")]
