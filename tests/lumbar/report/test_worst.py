from pathlib import Path

import numpy as np
import pytest

from lumbar.anatomy import MISSING, TARGETS
from lumbar.localise.point_errors import localisation_errors
from lumbar.report.scores import Outcome
from lumbar.report.worst import MOST_PER_STUDY, Slices, target_name, worst_studies, worst_targets
from lumbar.tables import AXIAL_XY, LABEL_COORDINATES, META, read_table, write_table


def outcome(study_ids: list[int], wrong: dict[tuple[int, int], float]) -> Outcome:
    """All targets Normal/Mild and predicted so, but for some (row, target) that get that little probability."""
    shape = len(study_ids), len(TARGETS)
    probabilities = np.tile([1.0, 0.0, 0.0], (*shape, 1))
    for (row, target), share in wrong.items():
        probabilities[row, target] = (share, 1 - share, 0)
    return Outcome("x", np.array(study_ids), probabilities, np.ones(shape, bool), np.zeros(shape, int), probabilities,
                   probabilities)  # fmt: skip


def test_targets_are_named_as_people_do() -> None:
    assert (
        target_name(TARGETS.index("left_neural_foraminal_narrowing_l4_l5")) == "Left neural foraminal narrowing L4/L5"
    )


def test_the_costliest_come_first_and_no_study_fills_the_page(mini: Path) -> None:
    wrong = {(0, target): 0.1 + target / 100 for target in range(6)} | {(1, 3): 0.5}
    worst = worst_targets(outcome([1, 2], wrong), Slices(mini / "datamount"))
    assert [(each.study_id, each.name) for each in worst] == [
        *((1, target_name(target)) for target in range(MOST_PER_STUDY)),
        (2, target_name(3)),
    ]
    assert worst[0].loss == pytest.approx(-np.log(0.1))
    assert worst[0].picture is None  # no such study


def test_what_was_not_predicted_or_graded_costs_nothing(mini: Path) -> None:
    result = outcome([1, 2], {(0, 0): 0.1, (1, 0): 0.1})
    result.predicted[0, 0] = False
    result.grades[1, 0] = MISSING
    assert worst_targets(result, Slices(mini / "datamount")) == []
    assert worst_studies(result, {1: 0, 2: 1}) == []


def test_studies_are_ranked_by_the_sum_of_their_losses() -> None:
    result = outcome([1, 2, 3], {(0, 0): 0.5, (1, 4): 0.25, (1, 7): 0.5})
    first, second = worst_studies(result, {1: 0, 2: 3, 3: 1})
    assert (first.study_id, first.fold, first.worst) == (2, 3, target_name(4))
    assert first.loss == pytest.approx(np.log(8))
    assert first.share == pytest.approx(0.75)
    assert second.study_id == 1


@pytest.mark.parametrize(
    ("title", "target"),
    [
        ("Spinal Canal Stenosis", "spinal_canal_stenosis_l2_l3"),
        ("Right Neural Foraminal Narrowing", "right_neural_foraminal_narrowing_l2_l3"),
        ("Left Subarticular Stenosis", "left_subarticular_stenosis_l2_l3"),
    ],
)
def test_a_target_is_shown_on_the_slice_that_a_human_marked(title: str, target: str, mini: Path) -> None:
    data = mini / "datamount"
    labels = read_table(data, LABEL_COORDINATES)
    mark = labels[(labels["condition"] == title) & (labels["level"] == "L2/L3")].iloc[0]
    picture = Slices(data).target(int(mark["study_id"]), TARGETS.index(target), "alt", "caption")
    assert picture is not None
    assert picture.caption == f"caption; series {mark['series_id']}, slice {mark['instance_number']}"
    human = [each for each in picture.marks if each.kind == "human"]
    assert len(human) == 1
    assert len(picture.marks) == 2


def test_a_predicted_axial_point_is_that_of_its_side(mini: Path) -> None:
    data = mini / "datamount"
    points = read_table(data, AXIAL_XY).assign(x_left=0.7, y_left=0.5, x_right=0.2, y_right=0.5)
    write_table(points, data, AXIAL_XY)
    labels = read_table(data, LABEL_COORDINATES)
    mark = labels[labels["condition"] == "Left Subarticular Stenosis"].iloc[0]
    meta = read_table(data, META).set_index(["series_id", "instance_number"])
    size = meta.loc[(mark["series_id"], mark["instance_number"]), ["img_w", "img_h"]]
    labels.loc[mark.name, ["x", "y"]] = [0.7 * size["img_w"], 0.5 * size["img_h"]]
    write_table(labels, data, LABEL_COORDINATES)
    level = mark["level"].lower().replace("/", "_")
    target = TARGETS.index(f"left_subarticular_stenosis_{level}")
    picture = Slices(data).target(int(mark["study_id"]), target, "", "")
    assert picture is not None
    human, predicted = picture.marks
    assert (human.x, human.y) == (predicted.x, predicted.y)


def test_the_furthest_points_are_shown_one_slice_of_a_series(mini: Path) -> None:
    data = mini / "datamount"
    sagittal, axial, *_ = localisation_errors(data, [])
    slices = Slices(data)
    for errors in (sagittal, axial):
        pictures = list(slices.points(errors))
        assert pictures
        assert pictures[0].caption.startswith(f"{errors.cases['error'].max():.1f} mm off")
        assert {mark.kind for mark in pictures[0].marks} == {"human", "predicted"}
        series = [picture.caption.split("series ")[1].split(",")[0] for picture in pictures]
        assert len(set(series)) == len(series)


def test_without_tables_and_slices_there_are_no_pictures(tmp_path: Path) -> None:
    assert Slices(tmp_path).target(1, 0, "", "") is None
