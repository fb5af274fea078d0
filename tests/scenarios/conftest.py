"""What several scenarios share because it takes a while to make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.scenarios.browser import running_browser
from tests.scenarios.container_image import Image, built_image
from tests.scenarios.systemd_box import Box, booted_box


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """Return a booted systemd; each test makes its own users in it."""
    with booted_box() as booted:
        yield booted


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """Return the image that the Dockerfile describes; it is built once."""
    with built_image() as built:
        yield built


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a real Chromium; each tab of a test is a person of its own."""
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running
