"""Put the xy localisers' outputs of all folds into two tables of predicted points.

python aggregate_localisation.py

Reads   weights/cfg_dh_05b5_loc_test2/fold<k>/val_data_seed<s>.pth, weights/cfg_dh_14p2_locsag_test/...
Writes  datamount/axial_xy/cfg_dh_05b5_loc_test2.csv.gz, datamount/sag_xy/test__cfg_dh_14p2_locsag_test.csv.gz
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lumbar import cli
from lumbar.localise.options import make_parser
from lumbar.roles import AXIAL, INFERENCE, SAGITTAL
from lumbar.tables import AXIAL_XY, META, SAGITTAL_XY, SLICE, read_table, write_table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 or a `UserError`."""
    parser = make_parser(__doc__ or "", "the newest")
    parser.add_argument(
        "--mask-objective",
        choices=("l1", "bce"),
        help="what the sagittal localiser's logits_mask is: with l1 a share, which is passed on; with bce a logit, "
        "which becomes a probability (default: what the run's config snapshot says; l1 without one)",
    )
    parser.add_argument("--only", choices=("axial", "sagittal"), help="make one table, from one localiser alone")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from lumbar.localise import aggregation  # PyTorch takes seconds to import: mistakes in the command show before

    # All inputs are found before the first table is written.
    given = options.folds, options.seed, options.allow_missing
    found = {
        part: aggregation.find_outputs(options.weights, INFERENCE[config], *given)
        for part, config in (("axial", AXIAL), ("sagittal", SAGITTAL))
        if options.only in (None, part)
    }
    axial, sagittal = found.get("axial"), found.get("sagittal")
    objective = ""
    if sagittal:
        objective = aggregation.common_value(sagittal, "mask_objective", options.mask_objective)
    frames = {}
    if axial:
        frames[AXIAL_XY] = aggregation.axial_points([run.val_data for run in axial])
    if sagittal:
        paths = [run.val_data for run in sagittal]
        frames[SAGITTAL_XY] = aggregation.sagittal_points(paths, read_table(options.data, META), objective)
    for table, frame in frames.items():
        path = write_table(frame, options.data, table)
        slices = len(frame.drop_duplicates(SLICE))
        print(f"{path}: {len(frame)} rows, {slices} slices of {frame['series_id'].nunique()} series")
    if sagittal:
        print(
            f"logits_mask: {'probabilities' if objective == aggregation.PROBABILITIES else 'passed on'} ({objective})"
        )
    return 0


if __name__ == "__main__":
    cli.run(main)
