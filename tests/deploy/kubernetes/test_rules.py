"""Our own rules, on every overlay and on every component by itself."""

import pytest

from tests.deploy.kubernetes import rendered, rules_pods, rules_told, rules_wiring
from tests.deploy.kubernetes.world import World

RULES = [*rules_pods.RULES, *rules_wiring.RULES, *rules_told.RULES]


@pytest.mark.parametrize("overlay", rendered.OVERLAYS)
def test_an_overlay_keeps_every_rule(overlay):
    world = World(rendered.overlay(overlay))
    broken = [f"{rule.__name__}: {one}" for rule in RULES for one in rule(world)]
    assert not broken, "\n".join(broken)
