"""How the commands that a message names are spelt for a gateway in a container or of a profile."""

import pytest

from gateway.policy.remedy import CommandWords

DOCKER = "docker exec box openclaw"
WORK = "openclaw --profile work"


@pytest.mark.parametrize(
    ("local", "text", "spelt"),
    [
        pytest.param("openclaw", "see `openclaw status`", "see `openclaw status`", id="plain"),
        pytest.param(DOCKER, "see `openclaw status`", f"see `{DOCKER} status`", id="container"),
        pytest.param(DOCKER, f"`{DOCKER} status`", f"`{DOCKER} status`", id="spelt-out"),
        pytest.param(
            DOCKER, "`openclaw a` or `openclaw b`", f"`{DOCKER} a` or `{DOCKER} b`", id="two"
        ),
        pytest.param(DOCKER, "openclaw status", "openclaw status", id="no-command"),
        pytest.param(DOCKER, "`openclaw status", "`openclaw status", id="no-end"),
        pytest.param(
            DOCKER,
            "on the other machine: `openclaw status`",
            "on the other machine: `openclaw status`",
            id="of-another-machine",
        ),
        pytest.param(
            DOCKER,
            "`openclaw --profile NAME gateway run`",
            "`openclaw --profile NAME gateway run`",
            id="names-a-profile",
        ),
        pytest.param(
            DOCKER,
            "`openclaw --log-level warn --dev run`",
            "`openclaw --log-level warn --dev run`",
            id="names-it-late",
        ),
        pytest.param(
            DOCKER,
            "`openclaw devices --profile-me`",
            f"`{DOCKER} devices --profile-me`",
            id="no-profile",
        ),
        pytest.param(WORK, "`openclaw status`", f"`{WORK} status`", id="profile"),
        pytest.param(WORK, f"`{WORK} status`", f"`{WORK} status`", id="profile-spelt-out"),
    ],
)
def test_the_commands_of_a_message_are_spelt_as_they_are_typed(local, text, spelt):
    assert CommandWords(local=local).spelt(text) == spelt
