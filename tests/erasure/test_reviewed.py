"""No declaration about people changes without somebody reading the change (E3)."""

from importlib import import_module

import pytest

from tests.erasure import reviewed
from tests.erasure.conftest import WIRED


@pytest.mark.parametrize("service", WIRED)
def test_what_is_said_about_people_was_reviewed(service: str) -> None:
    found = reviewed.differences(import_module(f"services.{service}.wiring").SERVICE.catalogue)
    assert not found, "run python -m tests.erasure.reviewed and have the difference read"
