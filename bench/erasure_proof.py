"""What is counted rather than timed: broken promises of the model, and mutants that nobody caught."""

import asyncio
import os
from collections.abc import Sequence

from bench.figures import Figure, Goal, Ground, Measure
from tests.mutants.score import score as mutants_score
from tests.simulation.explore import score as model_score

INTERLEAVINGS = int(os.environ.get("INTERLEAVINGS") or 20_000)
"""A minute of two processors; `INTERLEAVINGS=1000000` takes fifty."""


async def resurrections(ground: Ground) -> Sequence[Figure]:
    """Random interleavings of the model; the real services are tried by the faults."""
    wanted = ground.size(INTERLEAVINGS)
    walked, broken = await asyncio.to_thread(model_score, interleavings=wanted)
    return [
        Figure(
            name=f"resurrections and other broken promises in {walked:,} interleavings (of the model)",
            unit="",
            measured=broken,
            goal=Goal(of="measured", at_most=0),
            details={"command": f"python -m tests.simulation --interleavings {wanted}"},
        )
    ]


async def mutants(ground: Ground) -> Sequence[Figure]:
    """Of declarations, schema, erasure, evidence and queues, as many as the catalogues make."""
    made, caught = await mutants_score(ground.servers.postgres_url)
    return [
        Figure(
            name=f"mutants caught, of {made:,}",
            unit="%",
            measured=100 * caught / made,
            goal=Goal(of="measured", at_least=100),
            details={"mutants": made, "caught": caught},
        )
    ]


FIGURES: Sequence[Measure] = (resurrections, mutants)
