"""The model by hand: `python -m tests.simulation` walks it, `--walk SEED` tells one walk.

python -m tests.simulation [--interleavings N] [--from SEED]
python -m tests.simulation --everywhere
python -m tests.simulation --walk SEED [--off GUARD]
"""

import argparse
import sys

from tests.simulation.explore import SMALL, Counterexample, everywhere, score, walk
from tests.simulation.state import GUARDS, Scope


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interleavings", type=int, default=10_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--everywhere", action="store_true")
    parser.add_argument("--walk", type=int)
    parser.add_argument("--off", choices=GUARDS)
    asked = parser.parse_args()
    if asked.walk is not None:
        found = walk(asked.walk, scope=Scope(), off=asked.off)
        print(found if isinstance(found, Counterexample) else "\n".join(map(str, found)))
        return int(isinstance(found, Counterexample))
    if asked.everywhere:
        seen = everywhere(scope=SMALL)
        print(
            f"{seen.states} states, {seen.transitions} transitions,"
            f" {seen.interleavings} interleavings: {seen.counterexample or 'every promise held'}"
        )
        return int(seen.counterexample is not None)
    count, broken = score(interleavings=asked.interleavings, first=asked.first)
    print(f"{count} interleavings of the model, {broken} resurrections or other broken promises")
    return int(broken > 0)


sys.exit(main())
