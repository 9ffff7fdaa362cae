"""Fill the 8-bit cache v04: each slice between its own 0.5 % and 99.5 % quantiles.

The part of scripts/prepare.py that makes <images>_v04; see there.
"""

from __future__ import annotations

from collections.abc import Sequence

from lumbar.cli import run
from lumbar.images import preparation


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; see its ``--help``."""
    return preparation.main(__doc__, argv, versions=("v04",), metadata=False)


if __name__ == "__main__":
    run(main)
