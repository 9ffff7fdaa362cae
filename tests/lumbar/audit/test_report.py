from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydicom.uid import RLELossless

from lumbar.anatomy import TARGETS
from lumbar.audit.findings import Finding, judge, note
from lumbar.audit.inputs import Inputs
from lumbar.audit.report import Report, to_csv, to_text
from lumbar.cli import UserError
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.dicom_writer import write_series
from lumbar.phantom.plan import Encoding, PlannedSlice, SeriesPlan, Study
from lumbar.tables import (
    FOLDS,
    LABEL_COORDINATES,
    META,
    SAGITTAL_LABELS,
    TRAIN,
    TRAIN_SERIES,
    Table,
)

Change = Callable[[Table, Callable[[pd.DataFrame], pd.DataFrame]], None]


def findings(report: Report) -> dict[str, Finding]:
    """Findings that are not ok, by title."""
    return {finding.title: finding for finding in report.findings if finding.severity != "ok"}


def setting(rows: str, **values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Make a change that sets columns where a query holds."""

    def apply(frame: pd.DataFrame) -> pd.DataFrame:
        chosen = frame.query(rows).index
        assert len(chosen)
        for column, value in values.items():
            frame[column] = frame[column].astype(object)
            for index in chosen:
                frame.at[index, column] = value
        return frame.infer_objects()

    return apply


def test_a_faultless_download_passes_every_check(report: Callable[[], Report]) -> None:
    result = report()
    assert findings(result) == {}
    assert result.fit
    assert result.verdict == "fit to train on: no errors, 0 warnings"
    text = to_text(result)
    assert "3 in 4" in text
    assert text.splitlines()[-1].endswith(result.verdict)


T1, T2, AXIAL = "series_id == 10", "series_id == 11", "series_id == 12"
NFN_LEFT = "series_id == 10 and level == 'L3/L4' and instance_number == 6"


@pytest.mark.parametrize(
    ("table", "spoil", "title", "severity", "cases"),
    [
        (TRAIN, lambda t: t[t["study_id"] != 4], "image folders belong to a study of train.csv", "warning", 1),
        (TRAIN, lambda t: pd.concat([t, t.iloc[:1]]), "train.csv has one row per study", "error", 1),
        (TRAIN, setting("study_id == 1", **{TARGETS[0]: "severe"}), "grades are known", "error", 1),
        (TRAIN, setting("study_id == 1", **dict.fromkeys(TARGETS)), "studies have grades", "warning", 1),
        (TRAIN, setting("study_id == 1", study_id="one"), "train.csv: identifiers are whole numbers", "warning", 1),
        (TRAIN_SERIES, setting(T1, series_id=99), "train series have slices", "warning", 1),
        (TRAIN_SERIES, setting(T1, series_id=99), "train series folders are listed", "warning", 1),
        (TRAIN_SERIES, setting(T1, series_description="Sagittal"),
         "train_series_descriptions.csv: series descriptions are known", "warning", 1),
        (TRAIN_SERIES, setting(T1, series_description="Axial T2"), "studies have a Sagittal T1 series", "warning", 1),
        (TRAIN_SERIES, setting(T1, series_description="Axial T2"), "one series of each type", "info", 1),
        (TRAIN_SERIES, setting(T1, series_description="Axial T2"), "orientation is as described", "warning", 1),
        (TRAIN_SERIES, setting(T1, series_description="Axial T2"), "labels are on the right type of series",
         "error", 10),
        (TRAIN_SERIES, lambda t: pd.concat([t, t.iloc[:1]]),
         "train_series_descriptions.csv: rows are listed once", "warning", 1),
        (FOLDS, setting(T1, fold=3), "a patient is in one fold", "error", 1),
        (FOLDS, lambda t: t[t["series_id"] != 10], "series have a fold", "warning", 1),
        (LABEL_COORDINATES, setting(NFN_LEFT, level="L6/S1"),
         "train_label_coordinates.csv: values are known", "warning", 1),
        (LABEL_COORDINATES, setting(NFN_LEFT, x="here"),
         "train_label_coordinates.csv: values are known", "warning", 1),
        (LABEL_COORDINATES, setting(T1, series_id=99), "labels have their series", "warning", 1),
        (LABEL_COORDINATES, setting(T1, instance_number=99), "labels have their slice", "error", 10),
        (LABEL_COORDINATES, setting(NFN_LEFT, study_id=3), "labels name their series' study", "warning", 1),
        (LABEL_COORDINATES, lambda t: pd.concat([t, t.iloc[:1].assign(x=1.0)]), "targets are marked once", "info", 1),
        (LABEL_COORDINATES, lambda t: t[t["level"] != "L1/L2"], "SCS points at five levels", "info", 4),
        (LABEL_COORDINATES, lambda t: t[t["level"] != "L1/L2"], "graded targets have a point", "info", 20),
        (LABEL_COORDINATES, setting(NFN_LEFT, instance_number=2), "left and right foramina on two slices", "info", 1),
        (LABEL_COORDINATES, setting(NFN_LEFT, y=101.0), "labels lie inside their image", "warning", 1),
        (LABEL_COORDINATES, setting(NFN_LEFT, x=2.9, y=97.1), "labels keep clear of the corners", "warning", 1),
        (LABEL_COORDINATES, setting(NFN_LEFT, x=66.0), "points follow the levels of their series", "warning", 1),
        (LABEL_COORDINATES, setting(f"{AXIAL} and x == 55 and level == 'L2/L3'", instance_number=5),
         "levels follow each other downwards", "warning", 1),
        (LABEL_COORDINATES, setting(f"{AXIAL} and x == 55 and level == 'L2/L3'", instance_number=4),
         "levels follow each other downwards", "warning", 1),
        (LABEL_COORDINATES, setting(f"{AXIAL} and x == 55 and level == 'L2/L3'", instance_number=7),
         "left and right recesses on near slices", "warning", 1),
        (LABEL_COORDINATES, setting(f"{AXIAL} and level == 'L1/L2'", series_id=22),
         "SS points stand on one axial series", "info", 1),
        (LABEL_COORDINATES, lambda t: t.query(f"not ({AXIAL} and level == 'L1/L2')"), "SS points at five levels",
         "info", 2),
        (LABEL_COORDINATES, setting(NFN_LEFT, x=70.0), "NFN points lie near the stage-1 points", "warning", 1),
        (LABEL_COORDINATES, setting(NFN_LEFT, instance_number=1), "NFN left is on the patient's left", "warning", 1),
        (LABEL_COORDINATES, setting(f"{AXIAL} and x == 55", x=40.0), "SS left is on the patient's left", "error", 5),
        (SAGITTAL_LABELS, lambda t: t[t["series_id"] != 10], "sagittal series have stage-1 points", "warning", 1),
        (TRAIN_SERIES, lambda t: t[t["series_id"] != 10], "studies get crops for NFN", "warning", 1),
        (META, setting(AXIAL, ImagePositionPatient=(-25.0, -25.0, 90.0)), "studies get crops for SS", "warning", 1),
        (META, lambda t: t[t["series_id"] != 12], "studies get crops for SS", "warning", 1),
        (META, setting(f"{T1} and instance_number == 1", ImagePositionPatient=(30.0, -25.0, 25.0)),
         "instance numbers follow the stack", "info", 1),
        (META, lambda t: t.query(f"not ({T1} and instance_number == 6)"), "labels lie on prepared slices",
         "warning", 5),
        (META, setting(T1, SliceThickness=np.nan), "SliceThickness is present", "info", 1),
        (META, lambda t: t.iloc[1:], "metadata are complete", "warning", 1),
        (META, setting(f"{T1} and instance_number == 7", instance_number=8), "metadata describe slices that exist",
         "warning", 1),
        (META, setting(T1, PixelSpacing=np.nan), "PixelSpacing is present", "warning", 1),
        (META, setting(T1, PixelSpacing=(5.0, 5.0)), "pixel spacing is plausible", "warning", 1),
        (META, setting(T1, img_w=20), "image sizes are usual", "warning", 1),
        (META, setting(f"{T1} and instance_number == 1", img_w=90), "slices of a series have one size", "info", 1),
        (META, setting(f"{T1} and instance_number == 1", ImagePositionPatient=(0.0, -25.0, 25.0)),
         "slices of a series differ in position", "warning", 1),
        (META, setting(f"{T1} and instance_number == 1", ImageOrientationPatient=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
         "one plane per series", "warning", 1),
        (META, setting(f"{AXIAL} and instance_number == 1", ImageOrientationPatient=(1.0, 0.0, 0.0, 0.0, 0.98, 0.2)),
         "one tilt per series", "info", 1),
    ],
)  # fmt: skip
def test_each_fault_is_found(
    table: Table, spoil: Any, title: str, severity: str, cases: int, change: Change, report: Callable[[], Report]
) -> None:
    change(table, spoil)
    result = report()
    found = findings(result)[title]
    assert (found.severity, found.cases) == (severity, cases)
    assert result.fit == (not any(finding.severity == "error" for finding in result.findings))
    to_text(result)


def test_recesses_over_two_axial_series_are_complete_and_near_each_other(change: Change, report: Any) -> None:
    change(LABEL_COORDINATES, setting(f"{AXIAL} and level == 'L1/L2'", series_id=22))
    found = findings(report())
    assert "SS points at five levels" not in found
    assert "left and right recesses on near slices" not in found


def test_slices_apart_are_counted_in_space(change: Change, report: Callable[[], Report]) -> None:
    # A second stack between the slices of the first: number 7 lies between 3 and 4.
    change(META, setting(f"{AXIAL} and instance_number == 7", ImagePositionPatient=(-25.0, -25.0, 2.0)))
    change(LABEL_COORDINATES, setting(f"{AXIAL} and x == 55 and level == 'L2/L3'", instance_number=7))
    assert "left and right recesses on near slices" not in findings(report())


def test_labels_are_not_compared_with_what_was_made_of_them(change: Change, report: Callable[[], Report]) -> None:
    change(SAGITTAL_LABELS, lambda t: t.assign(source="coordinates"))
    change(LABEL_COORDINATES, setting(NFN_LEFT, x=60.0))
    result = report()
    found = findings(result)
    assert set(found) == {"NFN points lie near the stage-1 points", "SCS points lie near the stage-1 points"}
    assert all(
        each.severity == "info" and "made of these (--source coordinates)" in each.text for each in found.values()
    )
    assert "  info     NFN points lie near the stage-1 points: not compared" in to_text(result)


def test_every_case_is_a_row_of_the_table(change: Change, report: Callable[[], Report]) -> None:
    change(LABEL_COORDINATES, setting(T1, y=101.0))
    change(SAGITTAL_LABELS, lambda t: t.assign(source="coordinates"))
    result = report()
    rows = pd.read_csv(StringIO(to_csv(result)), keep_default_na=False)
    assert rows.columns.tolist() == ["severity", "check", "case", "text"]
    outside = rows[rows["check"] == "labels lie inside their image"]
    assert len(outside) == 10
    assert outside.iloc[0].tolist() == ["error", "labels lie inside their image", "1/10/6 left NFN L1/L2", "outside"]
    assert outside["case"].is_unique
    assert findings(result)["labels lie inside their image"].examples.count("NFN") == 4
    assert (rows.loc[rows["check"] == "SCS points lie near the stage-1 points", "case"] == "").all()


def test_a_scout_is_named_and_no_missing_slice(data: Path, change: Change, report: Any, write_dicom: Any) -> None:
    scout = (data / "train_images" / "1" / "10" / "7.dcm").rename(data / "train_images" / "1" / "10" / "7.DCM")
    write_dicom(scout, np.zeros((8, 8), np.uint16), ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    (data / "train_images_v01" / "1" / "10" / "7.png").unlink()
    change(META, lambda t: t.query(f"not ({T1} and instance_number == 7)"))
    found = findings(report())
    assert set(found) == {"slices lie in the plane of their series"}
    assert found["slices lie in the plane of their series"].named == ("1/10/7",)
    write_dicom(scout, np.zeros((8, 8), np.uint16))
    assert set(findings(report())) == {"metadata are complete", "cache v01 is complete"}


def test_frames_of_one_file_are_slices(data: Path, report: Callable[[], Report]) -> None:
    folder = data / "train_images" / "1" / "10"
    planes = [SlicePlane.from_tags((4.0 * n, 0, 0), (0, 1, 0, 0, 0, -1), (1, 1)) for n in range(7)]
    slices = tuple(PlannedSlice(plane, (8, 8), n) for n, plane in enumerate(planes, start=1))
    series = SeriesPlan("Sagittal T1", "T1", slices, 4.0, 4.0, Encoding(one_file=True), 10)
    study = Study(1, None, (series,), np.zeros(3))
    for path in folder.iterdir():
        path.unlink()
    write_series(folder, study, series, "Sag T1", [np.zeros((8, 8), np.uint16)] * 7)
    assert {title: finding.named for title, finding in findings(report()).items()} == {
        "a file holds one slice": ("10 (7 frames)",)
    }


def test_series_stored_in_another_way_are_named(data: Path, report: Any, write_dicom: Any) -> None:
    def store(series: int, **tags: Any) -> None:
        path = data / "train_images" / str(series // 10) / str(series) / "1.dcm"
        pixels = np.zeros((8, 8), np.int16 if tags.pop("signed", False) else np.uint16)
        write_dicom(path, pixels, **({"WindowCenter": 5, "WindowWidth": 9} | tags))

    store(10)
    store(11, syntax=RLELossless, WindowCenter=[1, 2], WindowWidth=[3, 4])
    store(12, PhotometricInterpretation="MONOCHROME1", WindowCenter=None)
    store(20, signed=True)
    assert {title: finding.named for title, finding in findings(report()).items()} == {
        "pixels are stored uncompressed": ("11 (RLE Lossless)",),
        "pixels are stored unsigned": ("20 (signed)",),
        "the greatest pixel is white": ("12 (MONOCHROME1)",),
        "slices have one window": ("11 (2 windows)", "12 (no window)"),
    }


def test_missing_slices_and_pictures_are_found(data: Path, report: Callable[[], Report]) -> None:
    (data / "train_images" / "1" / "10" / "3.dcm").unlink()
    (data / "train_images" / "1" / "11" / "1.dcm").unlink()
    (data / "train_images_v01" / "1" / "12" / "1.png").unlink()
    found = findings(report())
    assert found["instance numbers have no gaps"].examples == "10"
    assert found["instance numbers start at 1"].examples == "11"
    assert found["cache v01 is complete"].examples == "1/12/1"


def test_a_slice_without_a_place_costs_no_other_check(change: Change, report: Callable[[], Report]) -> None:
    change(META, setting("study_id > 0", ImagePositionPatient=np.nan, ImageOrientationPatient=np.nan))
    found = findings(report())
    assert found["ImagePositionPatient is present"].severity == "error"
    assert found["ImageOrientationPatient is present"].cases == 12


def test_without_preparation_the_rest_is_done_and_the_gaps_are_named(data: Path, report: Callable[[], Report]) -> None:
    for table in (META, FOLDS, SAGITTAL_LABELS):
        (data / table.path).unlink()
    result = report()
    assert result.fit
    assert "run scripts/prepare.py" in result.verdict
    skipped = [finding.text for finding in result.findings if finding.severity == "info"]
    assert len(skipped) == 3
    assert any("meta_v1.pkl, made by scripts/prepare.py" in text for text in skipped)


def test_a_missing_or_damaged_table_makes_it_unfit_and_the_rest_is_checked(
    data: Path, report: Callable[[], Report]
) -> None:
    (data / TRAIN.path).write_text("study_id\n1\n")
    (data / META.path).write_bytes(b"no pickle")
    result = report()
    assert not result.fit
    assert "train.csv can be read" in result.verdict
    assert "and 1 more errors" in result.verdict
    assert findings(result)["meta_v1.pkl can be read"].severity == "error"
    assert any(finding.title == "labels have their slice" for finding in result.findings)


def test_no_grades_at_all_is_fit_for_the_localisers_only(change: Change, report: Callable[[], Report]) -> None:
    change(TRAIN, setting("study_id > 0", **dict.fromkeys(TARGETS)))
    result = report()
    assert result.fit
    assert result.verdict.startswith("fit to train the localisers only: train.csv holds no grades")


def test_no_slices_at_all_is_unfit(data: Path, report: Callable[[], Report]) -> None:
    (data / "train_images").rename(data / "elsewhere")
    with pytest.raises(UserError, match="no such folder"):
        Inputs(data)
    (data / "train_images").mkdir()
    assert not report().fit


def test_few_cases_are_a_warning_and_many_an_error() -> None:
    assert judge("t", [], 10, "x").severity == "ok"
    assert judge("t", [1, 2], 10, "x").severity == "warning"
    assert judge("t", [1, 2, 3], 10, "x").severity == "error"
    assert judge("t", range(5), 100, "x").severity == "warning"
    assert judge("t", [1], 10, "x", error_above=0).severity == "error"
    assert note("t", range(10), 10, "x").severity == "info"
    assert judge("t", range(9), 10, "x").examples == "0, 1, 2, 3, ..."
