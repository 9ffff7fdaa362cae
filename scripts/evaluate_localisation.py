"""Measure the aggregated localisations: how far points and slices lie from where they should.

Synthetic and outlined data have a truth.csv; the real competition has not, and there the human points are the reference
(but the misplaced; on sagittal slices with their usual offsets from the level points undone). What the reference or the
tables do not cover is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lumbar.anatomy import LEVEL_LABELS, LEVELS
from lumbar.cli import UserError, parser, run
from lumbar.localise.point_errors import HUMAN, MEASURES, Errors, References
from lumbar.tables import AXIAL_LEVELS, AXIAL_XY, SAGITTAL_SLICES, SAGITTAL_XY, TRUTH, Table, read_table

TITLES = {
    SAGITTAL_XY.path: "sagittal xy",
    AXIAL_XY.path: "axial xy",
    SAGITTAL_SLICES.path: "sagittal z",
    AXIAL_LEVELS.path: "axial slice of each level",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, or 1 if nothing could be measured."""
    options = parser(__doc__ or "", workers=False).parse_args(argv)
    known = (options.data / TRUTH.path).is_file()
    references = References(options.data, truth_alone=known)
    if not known:
        print(f"there is no {TRUTH.path}: measured against {HUMAN}")
    measured = 0
    for _, table, measure in MEASURES:
        try:
            errors = measure(references, read_table(options.data, table))
            if not len(errors.values):
                raise UserError(f"{errors.reference} {'has' if known else 'have'} no such points on these series")
            lines = list(describe(table, errors))
            measured += 1
        except UserError as error:
            lines = [f"not measured: {error}"]
        print("\n".join(f"{TITLES[table.path]}: {line}" for line in lines))
    return 0 if measured else 1


def describe(table: Table, errors: Errors) -> Iterator[str]:
    """Put the errors of a table into words."""
    off = errors.values
    if errors.unit == "mm":
        close = f"{np.mean(off <= 10):.1%} within 10 mm of their own level, " if table is SAGITTAL_XY else ""
        yield (
            f"median distance {np.median(off):.2f} mm ({errors.cases['px'].median():.2f} px), {close}{len(off)} points"
        )
    elif table is SAGITTAL_SLICES:
        for column, offsets in errors.groups.items():
            if len(offsets):
                yield (
                    f"{column}: top slice within one of the true one in {np.mean(offsets <= 1):.1%} "
                    f"of {len(offsets)} series"
                )
    else:
        near = off[np.isfinite(off)]
        yield (
            f"within one slice of the true one for {np.mean(off <= 1):.1%} of {len(off)} series-levels "
            f"({np.mean(near <= 1) if len(near) else 0:.1%} of the {len(near)} that have a slice near enough)"
        )
        levels = ((level, errors.groups[label]) for level, label in zip(LEVELS, LEVEL_LABELS, strict=True))
        yield "by level: " + "  ".join(f"{level} {np.mean(errors <= 1):.1%}" for level, errors in levels if len(errors))


if __name__ == "__main__":
    run(main)
