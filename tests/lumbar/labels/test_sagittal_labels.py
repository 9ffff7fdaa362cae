import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVELS, VERTEBRAE
from lumbar.cli import UserError
from lumbar.labels.human import human_points
from lumbar.labels.sagittal_labels import (
    CANAL_BEHIND,
    FORAMEN_ABOVE,
    HALF_WIDTH,
    carried_labels,
    choose_shift,
    level_points,
    read_outlines,
    sagittal_marks,
    shift_distances,
    shifted_labels,
)
from lumbar.tables import SAGITTAL_LABELS

WIDTH, HEIGHT, BODY, DISC = 100, 400, 20.0, 10.0


def slices(count: int = 15, spacing: float = 4.0, first: int = 1) -> pd.DataFrame:
    """Metadata of a sagittal series with its middle slice in the mid-line, right to left."""
    middle = (count - 1) / 2
    return pd.DataFrame(
        {
            "study_id": 1,
            "series_id": 10,
            "instance_number": np.arange(count) + first,
            "img_w": WIDTH,
            "img_h": HEIGHT,
            "PixelSpacing": [(0.5, 0.5)] * count,
            "ImageOrientationPatient": [(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)] * count,
            "ImagePositionPatient": [((i - middle) * spacing, -25.0, 100.0) for i in range(count)],
        }
    )


def outlines(names: tuple[str, ...] = VERTEBRAE, slice_nos: tuple[int, ...] = (5, 6, 7)) -> list[dict[str, Any]]:
    """A straight spine from T11 down: bodies of 20 x 20 px, 10 px apart, posterior edge at x = 60."""
    found = []
    for index, name in enumerate(names):
        top = 20 + index * (BODY + DISC)
        corners = [[60.0, top], [60.0, top + BODY], [40.0, top + BODY], [40.0, top]]
        found.append({"predicted_label": name, "slice_nos": list(slice_nos), "polys": [corners] * len(slice_nos)})
    return found


def true_y(position: int) -> float:
    """Where the point of a level (0: L1/L2) lies in `outlines`."""
    return 20 + (position + 2) * (BODY + DISC) + BODY + 0.3 * DISC


def human(positions: tuple[int, ...] = (0, 1, 2, 3, 4), instance: int = 7) -> pd.DataFrame:
    rows = pd.DataFrame({"level": positions, "instance_number": instance})
    y = [true_y(position) for position in positions]
    return rows.assign(x=60 + 3, y=y, img_w=WIDTH, img_h=HEIGHT, series_id=10)


def write(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def read(path: Path, content: Any) -> list[dict[str, Any]]:
    return read_outlines(write(path / "1_vert_dicts.p", content))


def test_a_level_point_lies_at_seven_tenths_between_the_two_posterior_corners(tmp_path: Path) -> None:
    points = level_points(read(tmp_path, outlines()), slices())
    assert sorted(points["level"].unique()) == [-2, -1, 0, 1, 2, 3, 4, 5]
    first = points[points["level"] == 0]
    # L1 ends at y = 100 and L2 begins at 110: 0.7 x 100 + 0.3 x 110. Slice number 5 is the sixth slice.
    assert first[["instance_number", "x", "y"]].to_numpy().tolist() == [[6, 60, 103], [7, 60, 103], [8, 60, 103]]


def test_slice_numbers_count_ascending_instance_numbers_with_their_gaps(tmp_path: Path) -> None:
    rows = slices(4)
    rows["instance_number"] = [31, 12, 11, 20]
    points = level_points(read(tmp_path, outlines(slice_nos=(0, 3))), rows)
    assert sorted(points["instance_number"].unique()) == [11, 31]


def test_only_neighbours_on_the_same_slice_make_a_point(tmp_path: Path) -> None:
    found = outlines(("L1", "L2")) + outlines(("L3",), slice_nos=(6, 9)) + outlines(("L5", "T4"))
    points = level_points(read(tmp_path, found), slices())
    assert points[["level", "instance_number"]].to_numpy().tolist() == [[0, 6], [0, 7], [0, 8], [1, 7]]


def test_of_two_vertebrae_of_one_name_the_longer_counts(tmp_path: Path) -> None:
    points = level_points(read(tmp_path, [*outlines(("L1", "L2")), *outlines(("L2",), slice_nos=(5,))]), slices())
    assert len(points) == 3


def test_a_slice_that_the_series_lacks_condemns_the_outlines(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="slice number 7 of a series of 5 slices"):
        level_points(read(tmp_path, outlines()), slices(5))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": 1}, "expected a list of vertebrae, found dict"),
        ([{"predicted_label": "L1", "slice_nos": [1]}], "vertebra 0 is not"),
        ([3], "vertebra 0 is not"),
        ([{"predicted_label": "L1", "slice_nos": [1, 2], "polys": [[[0, 0]] * 4]}], "four corners per slice"),
        ([{"predicted_label": "L1", "slice_nos": [-1], "polys": [[[0, 0]] * 4]}], "slice numbers from 0"),
        ([{"predicted_label": "L1", "slice_nos": [1.5], "polys": [[[0, 0]] * 4]}], "slice numbers from 0"),
        ([{"predicted_label": 1, "slice_nos": [1], "polys": [[[0, 0]] * 4]}], "needs a name"),
        ([{"predicted_label": "L1", "slice_nos": [1], "polys": [[[0, float("nan")]] * 4]}], "not a number"),
    ],
)
def test_damaged_outlines_are_refused_with_the_reason(content: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        read(tmp_path, content)


def test_a_file_that_is_no_pickle_or_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.p").write_bytes(pickle.dumps(outlines())[:-20])
    with pytest.raises(UserError, match=r"cut\.p: not a pickle"):
        read_outlines(tmp_path / "cut.p")
    with pytest.raises(UserError, match="not a pickle of plain values"):
        read(tmp_path, print)


def test_no_outlines_are_no_points(tmp_path: Path) -> None:
    assert level_points(read(tmp_path, []), slices()).empty


@pytest.mark.parametrize("shift", [0, 1, -1])
def test_a_miscounted_series_comes_back_to_the_right_level(shift: int, tmp_path: Path) -> None:
    # SpineNet calls L1 the vertebra that is L1 - shift.
    names = {0: VERTEBRAE, -1: ("T10", *VERTEBRAE[:-1]), 1: (*VERTEBRAE[1:], "S3")}[shift]
    points = level_points(read(tmp_path, outlines(names)), slices())
    distances = shift_distances(points, human())
    assert distances[shift] == pytest.approx(3 / WIDTH)
    assert choose_shift(distances) == (shift, "")
    labels = shifted_labels(points, shift, slices())
    assert list(labels.columns) == list(SAGITTAL_LABELS.columns)
    assert labels["shift"].unique().tolist() == [shift]
    on_one = labels[labels["instance_number"] == 7]
    assert on_one["level"].tolist() == list(LEVELS)
    assert on_one["y"].tolist() == [true_y(position) for position in range(5)]
    assert (on_one[["study_id", "img_w", "img_h"]] == [1, WIDTH, HEIGHT]).all(axis=None)


def test_only_slices_and_levels_that_both_have_are_compared(tmp_path: Path) -> None:
    points = level_points(read(tmp_path, outlines()), slices()).query("level in (0, 1)")
    far = human((4,)).assign(y=0)
    assert shift_distances(points, pd.concat([human((1,)), far]))[0] == pytest.approx(0.03)
    assert shift_distances(points, human(instance=3)) == {0: np.inf, 1: np.inf, -1: np.inf}


def test_two_wild_points_of_five_do_not_move_the_shift(tmp_path: Path) -> None:
    points = level_points(read(tmp_path, outlines()), slices())
    wild = human().assign(x=[5, 5, 63, 63, 63])
    assert shift_distances(points, wild)[0] == pytest.approx(3 / WIDTH)


@pytest.mark.parametrize(
    ("distances", "shift", "reason"),
    [
        ({0: 0.02, 1: 0.0501, -1: 0.2}, 0, ""),
        ({0: 0.02, 1: 0.0499, -1: 0.2}, None, "two shifts fit within 0.03"),
        ({0: 0.2, 1: 0.0599, -1: 0.1}, 1, ""),
        ({0: 0.2, 1: 0.1, -1: 0.06}, None, "0.06 of the image or more away"),
        ({0: np.inf, 1: np.inf, -1: 0.01}, -1, ""),
        ({0: np.inf, 1: np.inf, -1: np.inf}, None, "no human point on a slice and level"),
    ],
)
def test_the_shift_must_be_near_and_clearly_the_best(distances: dict[int, float], shift: int, reason: str) -> None:
    chosen = choose_shift(distances)
    assert chosen.shift == shift
    assert reason in chosen.reason


def coordinates(rows: list[tuple[int, str, str, float, float]]) -> pd.DataFrame:
    columns = ["instance_number", "condition", "level", "x", "y"]
    return human_points(pd.DataFrame(rows, columns=columns).assign(study_id=1, series_id=10))


def test_marks_are_those_of_sagittal_conditions_on_slices_that_exist() -> None:
    given = coordinates(
        [
            (8, "Spinal Canal Stenosis", "L1/L2", 60, 100),
            (4, "Left Neural Foraminal Narrowing", "L5/S1", 61, 220),
            (4, "Left Subarticular Stenosis", "L5/S1", 61, 220),
            (99, "Spinal Canal Stenosis", "L1/L2", 60, 100),
        ]
    )
    marks = sagittal_marks(given, slices())
    assert marks["condition"].tolist() == ["spinal_canal_stenosis", "left_neural_foraminal_narrowing"]
    assert marks["level"].tolist() == [0, 4]
    assert (marks[["img_w", "img_h"]] == [WIDTH, HEIGHT]).all(axis=None)


def test_a_canal_point_is_carried_across_the_vertebra_with_its_offset_undone() -> None:
    meta = slices()
    points = sagittal_marks(coordinates([(8, "Spinal Canal Stenosis", "L3/L4", 62.8, 160.0)]), meta)
    labels = carried_labels(points, meta)
    assert labels["instance_number"].tolist() == list(range(2, 15))  # 4 mm apart: 6 each side within 25 mm
    assert (labels["x"] == round(62.8 - CANAL_BEHIND * WIDTH)).all()
    assert (labels["y"] == 160).all()
    assert labels["level"].unique().tolist() == ["l3_l4"]
    assert list(labels.columns) == list(SAGITTAL_LABELS.columns)


def test_foramen_points_of_both_sides_are_joined_by_a_line() -> None:
    meta = slices()
    both = [(4, "Right Neural Foraminal Narrowing", "L4/L5", 50.0, 100.0),
            (12, "Left Neural Foraminal Narrowing", "L4/L5", 58.0, 108.0)]  # fmt: skip
    labels = carried_labels(sagittal_marks(coordinates(both), meta), meta)
    below = FORAMEN_ABOVE * HEIGHT
    assert labels["instance_number"].tolist() == list(range(2, 15))
    assert labels["x"].tolist() == [50, 50, 50, 51, 52, 53, 54, 55, 56, 57, 58, 58, 58]
    assert labels["y"].tolist() == np.rint(np.clip(np.arange(98, 111), 100, 108) + below).astype(int).tolist()


@pytest.mark.parametrize(("side", "instance"), [("Left", 12), ("Right", 4)])
def test_one_side_alone_still_tells_where_the_vertebra_is(side: str, instance: int) -> None:
    meta = slices()
    points = sagittal_marks(coordinates([(instance, f"{side} Neural Foraminal Narrowing", "L1/L2", 50.0, 100.0)]), meta)
    labels = carried_labels(points, meta)
    middle = labels["instance_number"].mean()
    assert abs(middle - 8) <= 0.5
    assert len(labels) == 2 * int(HALF_WIDTH // 4) + 1


FORAMEN = "{} Neural Foraminal Narrowing"


def foramina(right: dict[str, int], left: dict[str, int]) -> pd.DataFrame:
    """Foramen points at their instance number per level."""
    rows = [(number, FORAMEN.format(side), level, 50.0, 60.0 * int(level[1]))
            for side, marked in (("Right", right), ("Left", left)) for level, number in marked.items()]  # fmt: skip
    return coordinates(rows)


def test_a_series_has_one_midline_that_a_slip_of_the_hand_does_not_move() -> None:
    meta = slices(21)  # the mid-line at slice 11
    marked = dict.fromkeys(("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"), 7)
    slipped = foramina(marked, dict.fromkeys(marked, 15) | {"L2/L3": 3})
    labels = carried_labels(sagittal_marks(slipped, meta), meta).groupby("level")["instance_number"].agg(list)
    assert labels["l1_l2"] == labels["l5_s1"] == list(range(5, 18))
    assert labels["l2_l3"] == [3, *range(5, 18)]


def test_a_level_has_a_point_on_every_slice_on_which_it_is_marked() -> None:
    meta = slices(21)
    wide = foramina({"L4/L5": 7, "L5/S1": 4}, {"L4/L5": 15, "L5/S1": 18})  # 28 mm from the mid-line
    labels = carried_labels(sagittal_marks(wide, meta), meta).groupby("level")["instance_number"].agg(list)
    assert labels["l4_l5"] == list(range(5, 18))
    assert labels["l5_s1"] == [4, *range(5, 18), 18]


def test_points_keep_their_place_on_slices_of_another_size_and_stay_inside() -> None:
    meta = slices()
    meta.loc[meta["instance_number"] > 9, ["img_w", "img_h"]] = [WIDTH // 2, HEIGHT // 2]
    given = [(8, "Spinal Canal Stenosis", "L3/L4", 62.8, 160.0), (8, "Spinal Canal Stenosis", "L1/L2", 1.0, 160.0)]
    labels = carried_labels(sagittal_marks(coordinates(given), meta), meta)
    lower = labels[labels["level"] == "l3_l4"].set_index("instance_number")
    assert lower.loc[[8, 10], ["x", "y"]].to_numpy().tolist() == [[60, 160], [30, 80]]
    assert (labels.loc[labels["level"] == "l1_l2", "x"] == 0).all()


def test_sides_are_told_by_the_patient_not_by_the_order_of_slices() -> None:
    meta = slices()
    meta["ImagePositionPatient"] = meta["ImagePositionPatient"].tolist()[::-1]
    points = sagittal_marks(coordinates([(4, "Left Neural Foraminal Narrowing", "L1/L2", 50.0, 100.0)]), meta)
    assert abs(carried_labels(points, meta)["instance_number"].mean() - 8) <= 0.5


def test_a_slice_of_unknown_place_is_an_error_that_names_the_series() -> None:
    meta = slices()
    meta["ImagePositionPatient"] = [np.nan, *meta["ImagePositionPatient"].tolist()[1:]]
    points = sagittal_marks(coordinates([(8, "Spinal Canal Stenosis", "L3/L4", 62.8, 160.0)]), meta)
    with pytest.raises(UserError, match="series 10: ImagePositionPatient must hold 3 finite numbers"):
        carried_labels(points, meta)
