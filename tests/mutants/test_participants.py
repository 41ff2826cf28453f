"""A certificate names everybody who had to forget, whoever forgot to ask them (E13, E23)."""

from tests.mutants import evidence
from tests.mutants.evidence import Court


async def test_nobody_is_left_out_of_a_proof(court: Court) -> None:
    assert not [result for result in await evidence.run_skipped(court) if result.caught is None]
