"""What is in the images is listed, and under licences that we can live with."""

import json

import pytest

from deploy import licences, sbom
from deploy.images import IMAGES, packages


def test_every_licence_is_allowed() -> None:
    wrong = {
        name: licences.licence(name) for name in licences.shipped() if not licences.allowed(name)
    }
    assert not wrong


def test_what_binds_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, fine in {
        "GPL-3.0": False,
        "AGPL-3.0-only": False,
        "MIT AND GPL-3.0": False,
        "GPL-2.0 OR MIT": True,
        "": False,
    }.items():
        monkeypatch.setattr(licences, "licence", lambda _, said=said: said)
        assert licences.allowed("anything") is fine, said


def test_what_was_judged_is_still_used() -> None:
    assert set(licences.JUDGED) <= set(licences.shipped())


def test_a_bill_names_every_package_of_its_image() -> None:
    image = next(one for one in IMAGES if one.service == "privacy")
    made = sbom.bill(image)
    assert {one["name"] for one in made["components"]} >= packages(image)
    assert all("hashes" in json.dumps(one) for one in made["components"])
    assert made["metadata"]["component"]["name"] == "ccib-privacy"
    assert sbom.bill(image) == made
