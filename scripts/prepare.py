"""Fill both 8-bit caches and the metadata table, reading each DICOM file once.

For each image folder in the data folder, train_images and test_images, it makes
  <images>_v01/<study>/<series>/<instance>.png   the slice at the window that the DICOM names
  <images>_v04/<study>/<series>/<instance>.png   the slice between its own 0.5 % and 99.5 % quantiles
  meta_v1.pkl, test_meta_v1.pkl                  one row per slice: position, spacing, size, ...
Run it again after an interruption or a change: what is good and unchanged is kept, the rest is made, and what has lost
its DICOM file is removed. A file that is no slice is reported, skipped and counted; the exit status is then 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from lumbar.cli import run
from lumbar.images import preparation


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; see its ``--help``."""
    return preparation.main(__doc__, argv, versions=("v01", "v04"), metadata=True)


if __name__ == "__main__":
    run(main)
