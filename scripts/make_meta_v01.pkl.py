"""Make the metadata table: one row per usable slice of the image folders.

The part of scripts/prepare.py that makes meta_v1.pkl and test_meta_v1.pkl; see there. Tags that a file lacks are NaN.
PatientID is kept only where it is the study's number, as in the competition; names and dates never leave a DICOM file.
"""

from __future__ import annotations

from collections.abc import Sequence

from lumbar.cli import run
from lumbar.images import preparation


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; see its ``--help``."""
    return preparation.main(__doc__, argv, versions=(), metadata=True)


if __name__ == "__main__":
    run(main)
