import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVELS
from lumbar.images.slices import SliceIndex
from lumbar.items.axial_crops import axial_sequences, level_gaps

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
POINT = {"x_left": 0.6, "y_left": 0.5, "x_right": 0.4, "y_right": 0.5}


def slices_of(instances, series=10):
    """Slices from the head to the feet."""
    return SliceIndex(pd.DataFrame(
        [
            {
                "study_id": 1, "series_id": series, "instance_number": n,
                "ImagePositionPatient": (0.0, 0.0, -4.0 * n), "ImageOrientationPatient": AXIAL,
                "PixelSpacing": (0.5, 0.5), "img_w": 400, "img_h": 320,
            }
            for n in instances
        ]
    ))  # fmt: skip


def mapping_of(nearest, series=10, source=7, distance=0.5):
    """Table rows from {level number: instance, or (instance, distance)}."""
    rows = []
    for level, value in nearest.items():
        instance, closest = value if isinstance(value, tuple) else (value, distance)
        rows.append((series, LEVELS[level], source, [instance, instance + 1], [closest, closest + 1]))
    names = ["series_id", "level", "source_series_id", "mapped_ax_instance_number", "distance"]
    return pd.DataFrame(rows, columns=names)


def points_of(slices, **changes):
    return pd.DataFrame([
        {"series_id": series, "instance_number": n, **POINT, **changes}
        for series, n in zip(slices.series_id, slices.instance, strict=True)
    ])  # fmt: skip


def instances(sequences, number):
    return sequences.slices.instance[sequences.slice_rows(number)].tolist()


def test_slices_and_boxes_by_hand():
    slices = slices_of([n for n in range(1, 40) if n != 9])
    nearest = {0: 2, 1: 10, 2: 17, 3: 25, 4: 32}  # gaps 8 7 8 7: median 7.5, half range 5.25
    sequences = axial_sequences(mapping_of(nearest), points_of(slices), slices)
    assert sequences.level.tolist() == [0, 1, 2, 3, 4]
    assert instances(sequences, 0) == [7, 6, 5, 4, 3, 2, 1]  # from the feet up; ceil(-3.25) counts as 0
    assert instances(sequences, 1) == [15, 14, 13, 12, 11, 10, 8, 7, 6, 5]  # 9 does not exist
    assert instances(sequences, 4) == [37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27]
    # Points 80 px apart around (200, 160): side 160.
    assert sequences.pixel_boxes()[0].tolist() == [120, 80, 280, 240]


def test_the_median_point_over_the_slices_counts():
    slices = slices_of(range(1, 20))
    points = points_of(slices)
    points.loc[points["instance_number"] <= 2, ["x_left", "x_right"]] = [0.9, 0.1]  # 2 of 7 slices
    sequences = axial_sequences(mapping_of({2: 4, 3: 9}), points, slices)
    assert instances(sequences, 0) == [7, 6, 5, 4, 3, 2, 1]
    assert sequences.pixel_boxes()[0].tolist() == [120, 80, 280, 240]


def test_small_boxes_are_40_px():
    slices = slices_of(range(1, 20))
    points = points_of(slices, x_left=0.51, x_right=0.49)
    sequences = axial_sequences(mapping_of({2: 4, 3: 9}), points, slices)
    assert sequences.pixel_boxes()[0].tolist() == [180, 140, 220, 180]


def test_levels_too_far_away_are_left_out(caplog):
    caplog.set_level("INFO")
    slices = slices_of(range(1, 20))
    sequences = axial_sequences(mapping_of({1: (1, 3.0), 2: (5, 2.9), 3: 9}), points_of(slices), slices)
    assert sequences.level.tolist() == [2, 3]
    assert "2 of 3 mapped series-levels are kept" in caplog.text


def test_a_series_needs_two_consecutive_levels():
    slices = slices_of(range(1, 30))
    assert len(axial_sequences(mapping_of({0: 3, 2: 9, 4: 15}), points_of(slices), slices)) == 0


def test_the_closest_sagittal_source_counts():
    slices = slices_of(range(1, 30))
    mapping = pd.concat([mapping_of({2: 4, 3: 9}, source=7, distance=1.0),
                         mapping_of({2: 6, 3: 11}, source=8, distance=0.2)])  # fmt: skip
    sequences = axial_sequences(mapping, points_of(slices), slices)
    # The gap is that from the last source's slice of a level, 6, to the first one's of the next, 9: half range 2.1.
    assert instances(sequences, 0) == [8, 7, 6, 5, 4]


@pytest.mark.parametrize(("nearest", "gap"), [
    ({0: 10, 1: 20, 2: 31}, 10.5), ({0: 40, 1: 30, 2: 19}, 10.5),
    ({0: 10, 1: 20, 2: 12, 3: 21}, 9),  # 10, -8, 9: a level out of order counts with its sign
    ({0: 10, 1: 20, 3: 50}, 10), ({0: 10, 2: 20}, np.nan),
])  # fmt: skip
def test_the_gap_is_the_size_of_the_median_signed_one(nearest, gap):
    np.testing.assert_array_equal(level_gaps(mapping_of(nearest), slices_of(range(1, 60))), [gap])


def test_half_a_side_is_rounded_down():
    slices = slices_of(range(1, 20))
    points = points_of(slices, x_left=0.6025, x_right=0.4)  # 81 px apart: side 162, half 81
    sequences = axial_sequences(mapping_of({2: 4, 3: 9}), points, slices)
    assert (sequences.box[0, 2:] - sequences.box[0, :2]).tolist() == [162, 162]
    points = points_of(slices, x_left=0.60125, x_right=0.4)  # 80.5 px apart: side 161, half 80
    sequences = axial_sequences(mapping_of({2: 4, 3: 9}), points, slices)
    assert (sequences.box[0, 2:] - sequences.box[0, :2]).tolist() == pytest.approx([160, 160])


def test_a_level_without_predicted_points_is_left_out():
    slices = slices_of(range(1, 30))
    points = points_of(slices)
    sequences = axial_sequences(mapping_of({2: 4, 3: 12}), points[points["instance_number"] < 5], slices)
    assert sequences.level.tolist() == [2]


@pytest.mark.parametrize("series", [11, 10])
def test_other_series_do_not_matter(series):
    slices = slices_of(range(1, 30))
    sequences = axial_sequences(mapping_of({2: 4, 3: 9}, series=series), points_of(slices), slices)
    assert len(sequences) == (2 if series == 10 else 0)
    assert np.isfinite(sequences.box).all()


def test_neighbours_lie_beside_one_another_in_space_whatever_their_numbers():
    shuffled = {n: 7 * n % 41 for n in range(1, 41)}  # the n-th slice from the head has this number
    meta = pd.DataFrame(
        [
            {
                "study_id": 1, "series_id": 10, "instance_number": number, "ImagePositionPatient": (0.0, 0.0, -4.0 * n),
                "ImageOrientationPatient": AXIAL, "PixelSpacing": (0.5, 0.5), "img_w": 400, "img_h": 320,
            }
            for n, number in shuffled.items()
        ]
    )  # fmt: skip
    nearest, regular, slices = {0: 4, 1: 12, 2: 20, 3: 28, 4: 36}, slices_of(range(1, 41)), SliceIndex(meta)
    expected = axial_sequences(mapping_of(nearest), points_of(regular), regular)
    renumbered = mapping_of({level: shuffled[n] for level, n in nearest.items()})
    found = axial_sequences(renumbered, points_of(slices), slices)
    for level in range(5):
        assert instances(found, level) == [shuffled[n] for n in instances(expected, level)]
