"""A small download without a fault, for tests that spoil one thing at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVEL_LABELS, LEVELS, SERIES_TYPES, TARGETS
from lumbar.audit.inputs import Inputs
from lumbar.audit.report import Report, audit
from lumbar.tables import (
    FOLDS,
    LABEL_COORDINATES,
    META,
    SAGITTAL_LABELS,
    TEST_SERIES,
    TRAIN,
    TRAIN_SERIES,
    Table,
    read_table,
    write_table,
)

STUDIES, SLICES, SIZE = (1, 2, 3, 4), 7, 100
ORIENTATION = {"Axial T2": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def meta_row(study: int, series: int, kind: str, number: int) -> dict[str, Any]:
    """Slices 4 mm apart, from the patient's right to the left or from the head down, the fourth through the middle."""
    along = 4.0 * (number - 4) * (-1 if kind == "Axial T2" else 1)
    return {
        "ImagePositionPatient": (-25.0, -25.0, along) if kind == "Axial T2" else (along, -25.0, 25.0),
        "ImageOrientationPatient": ORIENTATION.get(kind, SAGITTAL), "PixelSpacing": (0.5, 0.5),
        "SpacingBetweenSlices": 4.0, "SliceThickness": 4.0, "SliceLocation": along, "PatientID": str(study),
        "PatientPosition": "HFS", "SeriesDescription": kind, "PhotometricInterpretation": "MONOCHROME2",
        "img_w": SIZE, "img_h": SIZE, "study_id": study, "series_id": series, "instance_number": number,
    }  # fmt: skip


def mark_rows(study: int, series: int, kind: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for level, label in enumerate(LEVEL_LABELS):
        y = 20 + 12 * level
        if kind == "Sagittal T2/STIR":
            rows.append((study, series, 4, "Spinal Canal Stenosis", label, 52.8, y))
        for side, x, number in (("Left", 55.0, 6), ("Right", 45.0, 2)):
            if kind == "Sagittal T1":
                rows.append((study, series, number, f"{side} Neural Foraminal Narrowing", label, 50.0, y - 1.9))
            if kind == "Axial T2":
                rows.append((study, series, level + 2, f"{side} Subarticular Stenosis", label, x, 50.0))
    return rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four studies of three series of seven slices, complete, consistent and prepared; one test study."""
    picture = cv2.imencode(".png", np.full((SIZE, SIZE), 60, np.uint8))[1].tobytes()
    series, meta, marks, stage1 = [], [], [], []
    for study in STUDIES:
        for offset, kind in enumerate(SERIES_TYPES):
            each = 10 * study + offset
            series.append((study, each, kind))
            marks += mark_rows(study, each, kind)
            for number in range(1, SLICES + 1):
                meta.append(meta_row(study, each, kind, number))
                for folder, name, content in (("train_images", "dcm", b""), ("train_images_v01", "png", picture)):
                    path = tmp_path / folder / str(study) / str(each) / f"{number}.{name}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                if kind != "Axial T2":
                    stage1 += [(number, each, study, level, 50, 20 + 12 * i, SIZE, SIZE, 0)
                               for i, level in enumerate(LEVELS)]  # fmt: skip
    (tmp_path / "test_images" / "9" / "90").mkdir(parents=True)
    (tmp_path / "test_images" / "9" / "90" / "1.dcm").touch()
    train = pd.DataFrame(dict.fromkeys(TARGETS, "Normal/Mild"), index=range(len(STUDIES))).assign(study_id=STUDIES)
    frame = pd.DataFrame(series, columns=list(TRAIN_SERIES.columns))
    write_table(train, tmp_path, TRAIN)
    write_table(frame, tmp_path, TRAIN_SERIES)
    write_table(pd.DataFrame([(9, 90, "Axial T2")], columns=list(TEST_SERIES.columns)), tmp_path, TEST_SERIES)
    write_table(pd.DataFrame(marks, columns=list(LABEL_COORDINATES.columns)), tmp_path, LABEL_COORDINATES)
    write_table(pd.DataFrame(meta), tmp_path, META)
    write_table(pd.DataFrame(stage1, columns=list(SAGITTAL_LABELS.columns)), tmp_path, SAGITTAL_LABELS)
    write_table(frame.merge(train, on="study_id").assign(fold=frame["study_id"] % 4), tmp_path, FOLDS)
    return tmp_path


@pytest.fixture
def change(data: Path) -> Callable[[Table, Callable[[pd.DataFrame], pd.DataFrame]], None]:
    """``change(table, function)`` rewrites a table of the download."""

    def apply(table: Table, function: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        write_table(function(read_table(data, table)), data, table)

    return apply


@pytest.fixture
def report(data: Path) -> Callable[[], Report]:
    """``report()`` audits the download as it is now."""
    return lambda: audit(Inputs(data))
