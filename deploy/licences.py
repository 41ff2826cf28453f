"""The licences of everything in our images: `python -m deploy.licences [--check]`.

Read from the metadata of the installed packages. `--check` prints nothing but what is not allowed:
a licence that would bind who runs or changes the platform, or none at all.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
from functools import cache

from deploy.images import IMAGES, canonical, packages

ALLOWED = {
    *("MIT", "MIT-0", "MIT-CMU", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Unlicense"),
    *("Apache-2.0", "PSF-2.0", "HPND", "ZPL-2.1", "CNRI-Python", "MPL-2.0"),
}
"""None asks anything of who runs a service; MPL-2.0 asks for the sources of its own files alone."""

JUDGED = {
    # LGPL 2.1 or later, used as it is published and imported as a library: its sources are at the
    # registry, and whoever has an image may replace it.
    "python-stdnum": "LGPL-2.1-or-later",
}
"""By package: what was looked at by people, with the licence that it had then."""

_CLASSIFIERS = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "Zope Public License": "ZPL-2.1",
}
_NAMED = {
    "MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
}


@cache
def installed() -> dict[str, importlib.metadata.Distribution]:
    """What is installed here, by canonical name."""
    return {canonical(one.name): one for one in importlib.metadata.distributions()}


def licence(name: str) -> str:
    """The SPDX expression of an installed package; empty when it does not say."""
    told = installed()[name].metadata
    if "License-Expression" in told:
        return str(told["License-Expression"])
    classified = [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier", [])
        if line.startswith("License :: OSI Approved ::")
    ]
    if classified:
        return " OR ".join(_CLASSIFIERS.get(one, one) for one in classified)
    first = (str(told["License"]) if "License" in told else "").strip().partition("\n")[0]
    return _NAMED.get(first, first)


def allowed(name: str) -> bool:
    """Whether every part of its expression is allowed; of alternatives, one is enough."""
    said = licence(name)
    if JUDGED.get(name) == said:
        return True
    alternatives = re.split(r"\s+OR\s+", said.replace("(", "").replace(")", ""))
    return any(
        all(part in ALLOWED for part in re.split(r"\s+(?:AND|WITH)\s+", one))
        for one in alternatives
    )


def shipped() -> list[str]:
    """Every package of an image that is installed here, once; those for other systems are not."""
    return sorted(set().union(*map(packages, IMAGES)) & installed().keys())


def main(arguments: list[str] | None = None) -> int:
    """The command; exit code 1 when something is not allowed."""
    parser = argparse.ArgumentParser(prog="python -m deploy.licences")
    parser.add_argument("--check", action="store_true", help="only what is not allowed")
    check = parser.parse_args(arguments).check
    wrong = [name for name in shipped() if not allowed(name)]
    for name in wrong if check else shipped():
        said = licence(name) or "says nothing"
        sys.stdout.write(f"{name} {installed()[name].version}: {said}\n")
    if check and not wrong:
        sys.stdout.write(f"licences: ok, {len(shipped())} packages\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
