"""Find the outlines of the vertebrae on every sagittal series with SpineNet (optional).

SpineNet (https://github.com/rwindsor1/SpineNet) lives in an environment of its own, because it needs Python 3.9 to
3.11 and torch 2.0 to 2.5:
    python3.11 -m venv spinenet-env
    spinenet-env/bin/pip install spinenet
    python scripts/make_sag_loc_labels_part1.py --spinenet-python spinenet-env/bin/python
Its weights are downloaded on first use. Its licence allows non-commercial research only and covers its outputs.
Without it: make_sag_loc_labels_part2.py --source coordinates.

Needs the metadata table (scripts/prepare.py). Series that have outlines already are kept.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from lumbar.anatomy import SAGITTAL_T1, SAGITTAL_T2
from lumbar.cli import UserError, parser, run
from lumbar.files import write_bytes
from lumbar.images.dicom import DicomError
from lumbar.labels.spinenet import HOW_TO_INSTALL, SeriesError, SpineNet, in_slices, read_volume
from lumbar.tables import META, TRAIN_SERIES, VERTEBRA_OUTLINES, read_table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser(__doc__ or "")
    options.add_argument("--spinenet-python", type=Path, metavar="PATH", help="the Python of SpineNet's environment")
    options.add_argument("--device", default="auto", help="cpu, cuda:0, ... (default: a GPU if there is one)")
    options.add_argument("--force", action="store_true", help="redo series that have outlines already")
    args = options.parse_args(argv)

    meta, series = read_table(args.data, META), read_table(args.data, TRAIN_SERIES)
    sagittal = series.loc[series["series_description"].isin([SAGITTAL_T1, SAGITTAL_T2]), "series_id"]
    slices = {int(str(each)): rows for each, rows in meta[meta["series_id"].isin(sagittal)].groupby("series_id")}
    missing = [each for each in slices if args.force or not _path(args.data, each).is_file()]
    failed = 0
    if missing:
        if args.spinenet_python is None:
            raise UserError(f"{len(missing)} series need SpineNet; {HOW_TO_INSTALL}", status=2)
        with SpineNet(args.spinenet_python, args.device, args.workers) as network:
            for each in tqdm(missing, desc=f"SpineNet on {network.device}", unit="series"):
                try:
                    outline(args.data, slices[each], network)
                except (DicomError, SeriesError) as error:
                    tqdm.write(f"failed: series {each}: {error}", file=sys.stderr)
                    failed += 1
    absent = sagittal.nunique() - len(slices)
    print(
        f"{_path(args.data, 0).parent}: {len(missing) - failed} series done, {len(slices) - len(missing)} kept, "
        f"{failed} failed, {absent} without a slice in {META.path}"
    )
    return int(failed > 0)


def outline(data: Path, slices: pd.DataFrame, network: SpineNet) -> None:
    """Outline the vertebrae of one series (its rows of the metadata table) and write them."""
    study_id, series_id = slices[["study_id", "series_id"]].iloc[0]
    volume, spacing, scale = read_volume(data / "train_images" / str(study_id) / str(series_id), slices)
    found = in_slices(network.detect(volume, spacing), scale)
    write_bytes(_path(data, series_id), pickle.dumps(found, protocol=4))


def _path(data: Path, series_id: int) -> Path:
    return data / VERTEBRA_OUTLINES.format(series_id=series_id)


if __name__ == "__main__":
    run(main)
