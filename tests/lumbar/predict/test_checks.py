"""Warnings name what fell back to what and why, and what looks wrong."""

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import AXIAL_T2, LEVELS, NFN, SAGITTAL_T1, SAGITTAL_T2, SCS, SS, TARGETS
from lumbar.predict.checks import Checker, fallbacks, shared_slices, unsure_grades
from lumbar.predict.locating import CanalSlice, Located
from lumbar.predict.record import MODELS, NEIGHBOUR, OTHER_SERIES, SHARES, AxialView
from lumbar.predict.study_grades import TARGET_PARTS
from lumbar.tables import AXIAL_LEVELS, AXIAL_XY, SAGITTAL_SLICES, TEST_META

SURE = np.tile([0.8, 0.1, 0.1], (25, 1))
GOOD_POINTS = np.array([[32.0, 12 + 9 * level] for level in range(5)])
"""36 mm apart at 4 mm per pixel."""


def sources(part: str, source: str, levels: tuple[int, ...] = (0, 1, 2, 3, 4)) -> list[str]:
    return [source if TARGET_PARTS[n] == part and n % 5 in levels else MODELS for n in range(25)]


def test_what_stands_in_is_listed_with_levels_and_reasons() -> None:
    assert list(fallbacks(SS, sources(SS, SHARES), "no axial", "no axial")) == [
        "Subarticular stenosis, all levels: class shares, nothing better is known (no axial)"
    ]
    assert list(fallbacks(NFN, sources(NFN, NEIGHBOUR, (0, 4)), "no T1", "far")) == [
        "Foraminal narrowing, L1/L2, L5/S1: taken from the nearest level (no T1; far)"
    ]
    assert list(fallbacks(SCS, sources(SCS, OTHER_SERIES, (2,)), "no T2", "far")) == [
        "Canal stenosis, L3/L4: read on axial slices alone (no T2)"
    ]
    assert list(fallbacks(SCS, sources(NFN, SHARES), "a", "b")) == []


def test_unsure_grades_are_counted_where_they_were_read() -> None:
    unsure = np.full((25, 3), 1 / 3)
    assert list(unsure_grades([MODELS] * 25, SURE)) == []
    assert list(unsure_grades(sources(SS, SHARES), unsure)) == [
        "15 of 25 grades are unsure: none of their probabilities reaches 50%"
    ]


def checker(points: dict[int, np.ndarray], best: dict[int, float], spread: float = 0.0) -> Checker:
    """Make one study: series 1 is T1, 2 is T2, both with one sagittal slice; 3 is axial."""
    kinds = {1: SAGITTAL_T1, 2: SAGITTAL_T2, 3: AXIAL_T2}
    series = pd.DataFrame([(7, number, kind) for number, kind in kinds.items()],
                          columns=["study_id", "series_id", "series_description"])  # fmt: skip
    meta = pd.DataFrame(
        {
            "study_id": 7, "series_id": [1, 2], "instance_number": 5, "img_w": 64, "img_h": 64,
            "ImagePositionPatient": [(0.0, -128.0, 128.0)] * 2, "ImageOrientationPatient": [(0.0, 1, 0, 0, 0, -1)] * 2,
            "PixelSpacing": [(4.0, 4.0)] * 2,
        }
    ).reindex(columns=TEST_META.columns)  # fmt: skip
    sagittal = pd.DataFrame(
        [(number, 5, 7, level, mask) for number, mask in best.items() for level in LEVELS],
        columns=["series_id", "instance_number", "study_id", "level", "logits_mask"],
    )
    located = Located(
        sagittal=sagittal,
        axial=pd.DataFrame(columns=AXIAL_XY.columns),
        slices=pd.DataFrame(columns=SAGITTAL_SLICES.columns),
        levels=pd.DataFrame(columns=AXIAL_LEVELS.columns),
        spread={(number, 5): np.full((5, 2), spread) for number in points},
        canal={number: CanalSlice(5, xy, best[number]) for number, xy in points.items()},
    )
    return Checker(series, meta, located, {NFN: [0.7, 0.8], SCS: [0.8, 0.7]})


BEST = {1: 0.9, 2: 0.9}


def warnings(**arguments: object) -> list[str]:
    arguments = {"points": {1: GOOD_POINTS, 2: GOOD_POINTS}, "best": BEST} | arguments
    return checker(**arguments).warnings(7, [MODELS] * 25, SURE, ())  # type: ignore[arg-type]


def test_nothing_is_said_when_all_is_well() -> None:
    assert warnings() == []


@pytest.mark.parametrize(("best", "used"), [(0.75, "not used by all classifiers"), (0.4, "not used")])
def test_an_unsure_localiser(best: float, used: str) -> None:
    (line,) = warnings(best={1: best, 2: 0.9})
    assert line == (
        "series 1 (Sagittal T1): the localiser is not sure that it shows the lumbar spine "
        f"({best:.2f}, more than 0.8 is needed); {used}"
    )


def test_implausible_level_points() -> None:
    (line,) = warnings(points={1: GOOD_POINTS[::-1]})
    assert line == "series 1 (Sagittal T1): the levels found do not follow one another from head to feet"
    (line,) = warnings(points={1: GOOD_POINTS / [1, 4]})
    assert line == "series 1 (Sagittal T1): the levels found are 9 to 9 mm apart, which no spine is"


def test_series_and_networks_that_disagree() -> None:
    (line,) = warnings(points={1: GOOD_POINTS, 2: GOOD_POINTS + np.array([0, 9])})
    assert line == "series 1 and 2 disagree on the levels by 36 mm"
    lines = warnings(spread=0.05)  # of 256 mm, on both axes
    assert lines[0] == "series 1 (Sagittal T1): the networks disagree on the levels by 18 mm" and len(lines) == 2


def test_reasons_follow_from_the_series_that_a_study_has() -> None:
    source = [SHARES] * len(TARGETS)
    lines = checker({}, {}).warnings(8, source, SURE, ())  # a study without any series
    assert lines == [
        "Foraminal narrowing, all levels: class shares, nothing better is known (no usable Sagittal T1 series; "
        "no usable Axial T2 series)",
        "Canal stenosis, all levels: class shares, nothing better is known (no usable Sagittal T2/STIR series; "
        "no usable Axial T2 series)",
        "Subarticular stenosis, all levels: class shares, nothing better is known (no usable Axial T2 series)",
    ]


def test_levels_that_share_an_axial_slice_are_named() -> None:
    shown = [
        AxialView(
            level, 3, instance, 0.0, 5, (1.0, 1.0), np.zeros(4, int), np.zeros((2, 2)), np.zeros((1, 1), np.uint8)
        )
        for level, instance in zip(LEVELS, (1, 2, 2, 4, 5), strict=True)
    ]
    assert list(shared_slices(shown)) == ["L2/L3, L3/L4: share the axial slice 2 of series 3"]
    assert list(shared_slices(shown[:2])) == []
