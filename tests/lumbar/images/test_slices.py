import numpy as np
import pandas as pd
import pytest

from lumbar.cli import UserError
from lumbar.images.slices import SliceIndex, load_slices

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def meta_of(rows, orientation=SAGITTAL):
    """Rows of (series, instance, position or NaN, width, height)."""
    return pd.DataFrame(
        [
            {
                "study_id": series // 10, "series_id": series, "instance_number": instance,
                "ImagePositionPatient": position, "ImageOrientationPatient": orientation, "PixelSpacing": (0.5, 0.5),
                "img_w": width, "img_h": height,
            }
            for series, instance, position, width, height in rows
        ]
    )  # fmt: skip


def at(x):
    return (float(x), 0.0, 0.0)


INDEX = SliceIndex(
    meta_of([(20, 7, at(3), 4, 5), (10, 2, at(-1), 4, 5), (10, 5000, at(1), 6, 6), (10, 1, at(0), 4, 5)])
)


def test_sorted_by_series_and_instance():
    assert INDEX.series_id.tolist() == [10, 10, 10, 20]
    assert INDEX.instance.tolist() == [1, 2, 5000, 7]
    assert INDEX.study_id.tolist() == [1, 1, 1, 2]
    assert INDEX.series.tolist() == [10, 20]
    assert INDEX.first.tolist() == [0, 3, 4]
    assert INDEX.common_size.tolist() == [[4, 5], [4, 5]]
    assert len(INDEX) == 4


def test_look_ups():
    assert INDEX.find([10, 10, 20, 20, 15, 99], [5000, 3, 7, 2, 1, 1]).tolist() == [2, -1, 3, -1, -1, -1]
    assert INDEX.series_row([20, 10, 11]).tolist() == [1, 0, -1]
    assert INDEX.rows_of(10).tolist() == [0, 1, 2]
    assert INDEX.rows_of(11).tolist() == []


def test_an_empty_index():
    empty = SliceIndex(meta_of([(1, 1, at(0), 2, 2)]).iloc[:0])
    assert len(empty) == len(empty.series) == 0
    assert empty.find([1, 2], [1, 1]).tolist() == [-1, -1]
    assert empty.right_to_left().tolist() == empty.rows_of(1).tolist() == []
    assert empty.feet_to_head(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_geometry_that_cannot_be_counts_as_unknown():
    meta = meta_of([(10, 1, (1e308, 0.0, 0.0), 4, 4), (10, 2, at(1), 4, 4)])
    meta["PixelSpacing"] = [(1e300, 1.0), (0.0, 1.0)]
    index = SliceIndex(meta)
    assert np.isnan(index.position).all(axis=1).tolist() == [True, False]
    assert np.isnan(index.spacing).all()
    assert index.instance[index.right_to_left()].tolist() == [1, 2]


def test_right_to_left():
    assert INDEX.instance[INDEX.right_to_left()].tolist() == [2, 1, 5000, 7]


def test_a_series_with_an_unknown_position_stays_by_instance_number():
    index = SliceIndex(
        meta_of([(10, 1, at(5), 4, 4), (10, 2, np.nan, 4, 4), (10, 3, at(-5), 4, 4), (20, 1, at(9), 4, 4)])
    )
    assert index.instance[index.right_to_left()].tolist() == [1, 2, 3, 1]
    assert index.feet_to_head(np.arange(3), np.zeros(3, int)).tolist() == [0, 1, 2]


def test_feet_to_head_follows_the_stack_even_where_z_runs_against_it():
    tilt = np.deg2rad(40)
    orientation = (1.0, 0.0, 0.0, 0.0, np.cos(tilt), -np.sin(tilt))
    normal = np.cross(orientation[:3], orientation[3:])
    down_the_slice = np.array(orientation[3:])
    # Slices rise along the normal while their origins slide down the slice plane.
    positions = [tuple(4.0 * k * normal + 8.0 * k * down_the_slice) for k in range(4)]
    assert np.diff([position[2] for position in positions]).max() < 0
    index = SliceIndex(meta_of([(10, 4 - k, position, 4, 4) for k, position in enumerate(positions)], orientation))
    ordered = index.feet_to_head(np.arange(4), np.zeros(4, int))
    assert index.instance[ordered].tolist() == [4, 3, 2, 1]


def test_right_to_left_follows_the_stack_even_where_x_runs_against_it():
    turn = np.deg2rad(40)
    orientation = (np.sin(turn), np.cos(turn), 0.0, 0.0, 0.0, -1.0)
    normal = np.cross(orientation[:3], orientation[3:])  # to the right
    positions = [tuple(4.0 * k * normal + 8.0 * k * np.array(orientation[:3])) for k in range(4)]
    assert np.diff([position[0] for position in positions]).min() > 0
    index = SliceIndex(meta_of([(10, 1 + k, position, 4, 4) for k, position in enumerate(positions)], orientation))
    assert index.instance[index.right_to_left()].tolist() == [4, 3, 2, 1]


def test_feet_to_head_takes_slices_of_opposite_orientation_together():
    up, down = (meta_of([(10, k, (0.0, 0.0, float(z)), 4, 4) for k, z in zs], axes) for zs, axes in (
        ([(1, 10), (3, -10)], AXIAL), ([(2, 0)], (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))))  # fmt: skip
    index = SliceIndex(pd.concat([up, down]))
    assert index.instance[index.feet_to_head(np.arange(3), np.zeros(3, int))].tolist() == [3, 2, 1]


def test_groups_stay_apart():
    index = SliceIndex(meta_of([(10, k, (0.0, 0.0, -float(k)), 4, 4) for k in range(6)], AXIAL))
    ordered = index.feet_to_head(np.array([0, 1, 2, 1, 2, 3]), np.array([0, 0, 0, 1, 1, 1]))
    assert ordered.tolist() == [2, 1, 0, 3, 2, 1]


def test_only_slices_with_a_png_count(tmp_path, caplog):
    meta = meta_of([(10, 1, at(0), 4, 4), (10, 2, at(1), 4, 4), (20, 1, at(0), 4, 4)])
    folder = tmp_path / "1" / "10"
    folder.mkdir(parents=True)
    (folder / "2.png").touch()
    (folder / "9.png").touch()
    series = pd.DataFrame({"study_id": [1, 2], "series_id": [10, 20]})
    assert load_slices(meta, tmp_path, series).instance.tolist() == [2]
    assert "lacks 2 of 3 slices" in caplog.text
    assert len(load_slices(meta, tmp_path, series.iloc[:0])) == 0
    with pytest.raises(UserError, match=r"holds none of the 1 slices.*for 1 series.*scripts/prepare\.py"):
        load_slices(meta, tmp_path, series.iloc[1:])
