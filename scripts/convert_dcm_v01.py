"""Fill the 8-bit cache v01: each slice at the window that its DICOM file names.

The part of scripts/prepare.py that makes <images>_v01; see there.
"""

from __future__ import annotations

from collections.abc import Sequence

from lumbar.cli import run
from lumbar.images import preparation


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; see its ``--help``."""
    return preparation.main(__doc__, argv, versions=("v01",), metadata=False)


if __name__ == "__main__":
    run(main)
