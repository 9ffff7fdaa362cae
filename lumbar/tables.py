"""Every table in the data folder: where it lies, its columns, which step makes it, how it is read and written.

A table is read through `read_table`, the one gate of every command: it says in one line which file or column is missing
and which command makes it, and what `lumbar.table_checks` finds wrong with it. It is written through `write_table`,
which is atomic and gives the same bytes for the same rows.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from lumbar.anatomy import GRADE_COLUMNS, TARGETS
from lumbar.cli import UserError
from lumbar.files import atomic_path, read_pickle
from lumbar.table_checks import Flaw, parse_csv, require_columns, usable_rows

DOWNLOAD: Final = "scripts/download_data.sh (or scripts/make_phantom.py for a synthetic competition)"


@dataclass(frozen=True)
class Table:
    """One table of the data folder.

    Parameters
    ----------
    path : str
        File, relative to the data folder; the suffix (``.csv``, ``.csv.gz``, ``.pkl``) is its format.
    columns : tuple of str
        Columns that every reader may rely on, in order.
    made_by : str
        The command that makes it.
    key : tuple of str, optional
        Columns whose values together stand once; of several such rows the first counts.
    """

    path: str
    columns: tuple[str, ...]
    made_by: str
    key: tuple[str, ...] = ()


SERIES_COLUMNS: Final = ("study_id", "series_id", "series_description")

SLICE: Final = ["series_id", "instance_number"]
"""Columns that name a slice, in any table."""

TRAIN: Final = Table("train.csv", ("study_id", *TARGETS), DOWNLOAD)
COORDINATE_COLUMNS: Final = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
LABEL_COORDINATES: Final = Table("train_label_coordinates.csv", COORDINATE_COLUMNS, DOWNLOAD, key=COORDINATE_COLUMNS)
TRAIN_SERIES: Final = Table("train_series_descriptions.csv", SERIES_COLUMNS, DOWNLOAD, key=("series_id",))
TEST_SERIES: Final = Table("test_series_descriptions.csv", SERIES_COLUMNS, DOWNLOAD, key=("series_id",))
SAMPLE_SUBMISSION: Final = Table("sample_submission.csv", ("row_id", *GRADE_COLUMNS), DOWNLOAD)
FOLDS: Final = Table("train_folded_v1.csv", (*SERIES_COLUMNS, "fold", *TARGETS), "scripts/make_folds.py")
META: Final = Table(
    "meta_v1.pkl",
    (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices", "SliceThickness",
        "SliceLocation", "PatientID", "PatientPosition", "SeriesDescription", "PhotometricInterpretation", "img_w",
        "img_h", "study_id", "series_id", "instance_number",
    ),
    "scripts/prepare.py (or scripts/make_meta_v01.pkl.py)",
    key=tuple(SLICE),
)  # fmt: skip
TEST_META: Final = Table("test_meta_v1.pkl", META.columns, META.made_by, META.key)
SAGITTAL_LABELS: Final = Table(
    "sag_xy/shifted_spinenet_v02.csv.gz",
    ("instance_number", "series_id", "study_id", "level", "x", "y", "img_h", "img_w", "shift"),
    "scripts/make_sag_loc_labels_part2.py",
)
AXIAL_XY: Final = Table(
    "axial_xy/cfg_dh_05b5_loc_test2.csv.gz",
    ("series_id", "instance_number", "x_left", "y_left", "x_right", "y_right"),
    "aggregate_localisation.py",
)
SAGITTAL_XY: Final = Table(
    "sag_xy/test__cfg_dh_14p2_locsag_test.csv.gz",
    ("instance_number", "series_id", "study_id", "level", "logits_mask", "x", "y", "img_w", "img_h"),
    "aggregate_localisation.py",
)
SAGITTAL_SLICES: Final = Table(
    "sag_slice/test__cfg_dh_14s10a_locsag.csv.gz",
    ("series_id", "instance_number", "left_nfn", "right_nfn", "scs"),
    "aggregate_z_localisation.py",
)
AXIAL_LEVELS: Final = Table(
    "axial_lvl/test__dh_14p2___dh_14s10a____locsag_mapped_v02.pkl",
    ("series_id", "level", "source_series_id", "mapped_ax_instance_number", "distance"),
    "aggregate_z_localisation.py",
)
TRUTH: Final = Table(
    "truth.csv",
    ("study_id", "series_id", "instance_number", "level", "x", "y", "img_h", "img_w"),
    "scripts/make_phantom.py (only synthetic and outlined data have one)",
)
TRUTH_GRADES: Final = Table(
    "truth_grades.csv",
    ("study_id", *TARGETS),
    "scripts/make_phantom.py (only synthetic data has one)",
)

ROW_ID: Final = "{study_id}_{target}"
"""How a row of a submission is named; a target is one of `lumbar.anatomy.TARGETS`."""

VERTEBRA_OUTLINES: Final = "spinenet/vert_dicts_v0/{series_id}_vert_dicts.p"
"""SpineNet's detections of one sagittal series, relative to the data folder."""


def read_table(data: Path, table: Table, flaws: list[Flaw] | None = None) -> pd.DataFrame:
    """Read a table: its columns are there, and its rows can be used.

    What spoils the whole file is an error; what spoils a row costs that row, and is counted. The policy stands in
    `lumbar.table_checks`.

    Parameters
    ----------
    data : Path
        The data folder.
    table : Table
        One of the tables above.
    flaws : list of Flaw, optional
        Gets what was mended or left out; without it, each is a line on stderr.

    Returns
    -------
    DataFrame
        All columns of the file, those of `table` guaranteed.

    Raises
    ------
    UserError
        If the file is absent, unreadable or damaged, or lacks a column; names the command that makes it.
    """
    path = data / table.path
    if not path.is_file():
        raise UserError(f"{path}: no such file; make it with {table.made_by}")
    found: list[Flaw] = []
    try:
        if path.suffix == ".pkl":
            frame = read_pickle(path)
            if not isinstance(frame, pd.DataFrame):
                raise ValueError(f"holds no table, but {type(frame).__name__}")
            require_columns(frame.columns, table.columns)
        else:
            content = path.read_bytes()
            frame = parse_csv(gzip.decompress(content) if path.suffix == ".gz" else content, table.columns, found)
        frame = usable_rows(frame, table.columns, table.key, found)
    except ValueError as error:
        raise UserError(f"{path}: {error}; make it again with {table.made_by}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); make it again with {table.made_by}") from error
    for flaw in found if flaws is None else ():
        print(f"warning: {path}: {flaw}", file=sys.stderr)
    if flaws is not None:
        flaws += found
    return frame


def write_table(frame: pd.DataFrame, data: Path, table: Table) -> Path:
    """Write a table atomically, its named columns first, the same bytes for the same rows.

    Parameters
    ----------
    frame : DataFrame
        Must have the table's columns; others are written after them.
    data : Path
        The data folder.
    table : Table
        One of the tables above.

    Returns
    -------
    Path
        The file written.
    """
    others = [column for column in frame.columns if column not in table.columns]
    ordered = frame[[*table.columns, *others]]
    path = data / table.path
    with atomic_path(path) as temporary:
        if path.suffix == ".pkl":
            # Object columns, not pandas 3 strings, so that older pandas (and our safe reader) can load the file.
            strings = ordered.select_dtypes(include=["string"]).columns
            plain = ordered.astype(dict.fromkeys(strings, object))
            plain.columns = plain.columns.astype(object)
            plain.to_pickle(temporary, compression=None, protocol=4)
        elif path.suffix == ".gz":
            # Compressed here: pandas would write the temporary file's name into it.
            text = ordered.to_csv(index=False, lineterminator="\n")
            temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            ordered.to_csv(temporary, index=False, lineterminator="\n")
    return path
