import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.stack import Stack, standing

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # the first one waits for the whole platform
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The whole platform with its own servers, started as people start it."""
    folder = Path(os.environ["CCIB_TEST_FOLDER"]) / f"stack-{os.getpid()}"
    with standing(folder) as running:
        yield running
