"""Put the z localiser's out-of-fold outputs into one table, and map the levels to axial slices.

python aggregate_z_localisation.py

Reads   weights/cfg_dh_14s10a_locsag/fold<k>/val_data_seed<s>.pth, and the sagittal points of aggregate_localisation.py
Writes  datamount/sag_slice/test__cfg_dh_14s10a_locsag.csv.gz,
        datamount/axial_lvl/test__dh_14p2___dh_14s10a____locsag_mapped_v02.pkl
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from lumbar.cli import run
from lumbar.localise.options import make_parser
from lumbar.roles import SLICES
from lumbar.tables import AXIAL_LEVELS, META, SAGITTAL_SLICES, SAGITTAL_XY, TRAIN_SERIES, read_table, write_table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 or a `UserError`."""
    parser = make_parser(__doc__ or "", "the mean of all")
    parser.add_argument(
        "--count-objective",
        choices=("l1", "l2"),
        help="what the z localiser learned: medians (l1) or means (l2) of the number of points on a slice "
        "(default: what the run's config snapshot says; l1 without one)",
    )
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # PyTorch takes seconds to import: mistakes in the command show before.
    from lumbar.items.axial_crops import FURTHEST
    from lumbar.localise import aggregation
    from lumbar.localise.axial_mapping import FORAMEN_THRESHOLDS, map_levels

    runs = aggregation.find_outputs(
        options.weights, SLICES, options.folds, options.seed, options.allow_missing, all_seeds=True
    )
    counted = aggregation.common_value(runs, "count_objective", options.count_objective)
    points, meta, series = (read_table(options.data, table) for table in (SAGITTAL_XY, META, TRAIN_SERIES))
    scores = aggregation.slice_scores([run.val_data for run in runs])
    path = write_table(scores, options.data, SAGITTAL_SLICES)
    print(f"{path}: {len(scores)} slices of {scores['series_id'].nunique()} series")
    mapping = map_levels(scores, points, meta, series, counted)
    path = write_table(mapping, options.data, AXIAL_LEVELS)
    closest = np.array([distances[0] for distances in mapping["distance"]])
    print(
        f"{path}: {len(mapping)} rows, {mapping['series_id'].nunique()} axial series; "
        f"{(closest < FURTHEST).sum()} rows with a slice nearer than {FURTHEST:g} mm; "
        f"foraminal slices: over {FORAMEN_THRESHOLDS[counted]:g} ({counted})"
    )
    return 0


if __name__ == "__main__":
    run(main)
