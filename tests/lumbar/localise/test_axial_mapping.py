import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVELS
from lumbar.localise.axial_mapping import map_levels

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def meta_row(series, instance, position, orientation, study=1, spacing=(0.5, 0.8)):
    return {
        "study_id": study, "series_id": series, "instance_number": instance, "ImagePositionPatient": position,
        "ImageOrientationPatient": orientation, "PixelSpacing": spacing, "img_w": 400, "img_h": 400,
    }  # fmt: skip


META = pd.DataFrame(
    [meta_row(10, n, (4.0 * n, -100.0, 80.0), SAGITTAL) for n in (1, 2)]
    + [meta_row(20, n, (-100.0, -100.0, 80.0 - 10.0 * n), AXIAL) for n in (1, 2, 3, 4, 7)]
    + [meta_row(30, 1, (-100.0, -100.0, 60.0), AXIAL, study=2)]
)
SERIES = pd.DataFrame(
    {"study_id": [1, 1, 2], "series_id": [10, 20, 30], "series_description": ["Sagittal T1", "Axial T2", "Axial T2"]}
)
# Level k lies at row 20 + 40 k: 0.5 mm a row below z = 80.
POINTS = pd.DataFrame(
    [
        {"series_id": 10, "instance_number": n, "study_id": 1, "level": level, "logits_mask": 0.9,
         "x": 100, "y": 20 + 40 * k + n, "img_w": 400, "img_h": 400}
        for n in (1, 2) for k, level in enumerate(LEVELS)
    ]
)  # fmt: skip


def scores_of(*pairs):
    rows = [(10, n, left, right, 0.0) for n, (left, right) in enumerate(pairs, start=1)]
    return pd.DataFrame(rows, columns=["series_id", "instance_number", "left_nfn", "right_nfn", "scs"])


def test_nearest_slices_by_hand():
    mapping = map_levels(scores_of((0.5, 0.0), (0.0, 0.11)), POINTS, META, SERIES)
    assert mapping["series_id"].tolist() == [20] * 5
    assert mapping["source_series_id"].tolist() == [10] * 5
    first = mapping.set_index("level").loc["l1_l2"]
    # z of the points: 80 - 0.5 (20 + n) = 69.5 and 69; slices at 70, 60, 50, 40, 10.
    assert first["mapped_ax_instance_number"] == [1, 1]
    assert first["distance"] == pytest.approx([0.5, 1.0])
    last = mapping.set_index("level").loc["l5_s1"]  # z = -10.5 and -11
    assert last["mapped_ax_instance_number"] == [7, 7]
    assert last["distance"] == pytest.approx([20.5, 21.0])


def test_only_foraminal_slices_count():
    mapping = map_levels(scores_of((0.1, 0.0), (0.0, 0.11)), POINTS, META, SERIES)
    assert mapping["distance"].map(len).unique().tolist() == [1]
    assert map_levels(scores_of((0.1, 0.1), (0.0, 0.0)), POINTS, META, SERIES).empty


def test_a_mean_count_must_reach_what_a_median_of_one_does():
    scores = scores_of((0.5, 0.2), (0.0, 0.51))
    assert map_levels(scores, POINTS, META, SERIES)["distance"].map(len).unique().tolist() == [2]
    assert map_levels(scores, POINTS, META, SERIES, "l2")["distance"].map(len).unique().tolist() == [1]


def test_other_studies_are_not_mapped():
    mapping = map_levels(scores_of((1, 1), (1, 1)), POINTS, META, SERIES)
    assert 30 not in mapping["series_id"].to_numpy()


def test_slices_without_geometry_are_left_out(caplog):
    meta = META.copy()
    meta["ImagePositionPatient"] = [
        np.nan if n in (0, 2) else value for n, value in enumerate(meta["ImagePositionPatient"])
    ]
    mapping = map_levels(scores_of((1, 1), (1, 1)), POINTS, meta, SERIES)
    first = mapping.set_index("level").loc["l1_l2"]
    assert first["mapped_ax_instance_number"] == [2]  # sagittal slice 1 and axial slice 1 lie nowhere
    assert "5 of 10 level points lie on slices without geometry" in caplog.text


def test_a_stack_without_geometry_is_not_mapped():
    meta = META.copy()
    meta["ImageOrientationPatient"] = [np.nan if series == 20 else SAGITTAL for series in meta["series_id"]]
    assert map_levels(scores_of((1, 1)), POINTS, meta, SERIES).empty


def test_t2_series_count_only_where_a_study_has_no_t1_source():
    """Series 11 is a T2 series of study 1; study 3 has a T2 series, 12, and an axial one, 40."""
    meta = pd.concat([META, pd.DataFrame(
        [meta_row(11, 1, (4.0, -100.0, 80.0), SAGITTAL), meta_row(12, 1, (4.0, -100.0, 80.0), SAGITTAL, study=3),
         meta_row(40, 1, (-100.0, -100.0, 60.0), AXIAL, study=3)])])  # fmt: skip
    series = pd.concat([SERIES, pd.DataFrame(
        {"study_id": [1, 3, 3], "series_id": [11, 12, 40],
         "series_description": ["Sagittal T2/STIR", "Sagittal T2/STIR", "Axial T2"]})])  # fmt: skip
    first = POINTS[POINTS["instance_number"] == 1]
    points = pd.concat([POINTS, first.assign(series_id=11), first.assign(series_id=12, study_id=3)])
    rows = [(10, 1, 1.0, 0.0, 0.0), (11, 1, 1.0, 0.0, 0.0), (12, 1, 1.0, 0.0, 0.0)]
    scores = pd.DataFrame(rows, columns=["series_id", "instance_number", "left_nfn", "right_nfn", "scs"])
    mapping = map_levels(scores, points, meta, series)
    assert mapping.groupby("series_id")["source_series_id"].unique().map(list).to_dict() == {20: [10], 40: [12]}
    # A T1 series without a foraminal slice is no source: then the T2 series is one.
    mapping = map_levels(scores[1:], points, meta, series)
    assert mapping.groupby("series_id")["source_series_id"].unique().map(list).to_dict() == {20: [11], 40: [12]}
