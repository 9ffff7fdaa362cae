"""Errors against a reference that is the tables themselves, moved by a known distance."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVELS
from lumbar.localise.point_errors import Errors, localisation_errors
from lumbar.tables import (
    AXIAL_LEVELS,
    AXIAL_XY,
    LABEL_COORDINATES,
    META,
    SAGITTAL_SLICES,
    SAGITTAL_XY,
    TRUTH,
    read_table,
    write_table,
)

TITLES = ["Level points on sagittal slices", "Left and right points on axial slices",
          "Best sagittal slice of each side and of the canal", "Axial slice of each level"]  # fmt: skip


def measure(data: Path) -> tuple[dict[str, Errors], list[str]]:
    notes: list[str] = []
    return {errors.title: errors for errors in localisation_errors(data, notes)}, notes


@pytest.fixture
def data(mini: Path) -> Path:
    """The tiny competition with a truth that is off by 3 px in x and 4 in y, and the slices that the tables name."""
    data = mini / "datamount"
    columns = ["series_id", "instance_number"]
    rows = [read_table(data, SAGITTAL_XY)[[*columns, "level", "x", "y"]].assign(structure="level")]
    axial = read_table(data, AXIAL_XY).merge(read_table(data, META)[[*columns, "img_w", "img_h"]], on=columns)
    for side in ("left", "right"):
        x, y = axial[f"x_{side}"] * axial["img_w"], axial[f"y_{side}"] * axial["img_h"]
        rows.append(axial[columns].assign(level=LEVELS[0], x=x, y=y, structure=f"{side}_recess"))
    scores = read_table(data, SAGITTAL_SLICES)
    best = scores.loc[scores.groupby("series_id")["left_nfn"].idxmax(), columns]
    rows.append(best.assign(level=LEVELS[0], x=0, y=0, structure="left_foramen"))
    mapped = read_table(data, AXIAL_LEVELS)
    mapped = mapped[[distance[0] < 3 for distance in mapped["distance"]]]
    first = [numbers[0] for numbers in mapped["mapped_ax_instance_number"]]
    rows.append(mapped[["series_id", "level"]].assign(instance_number=first, x=0, y=0, structure="level"))
    truth = pd.concat(rows).assign(study_id=0, img_w=0, img_h=0)
    write_table(truth.assign(x=truth["x"] + 3, y=truth["y"] + 4), data, TRUTH)
    return data


def test_known_errors_against_the_truth(data: Path) -> None:
    found, notes = measure(data)
    assert notes == []
    assert list(found) == TITLES
    assert {errors.reference for errors in found.values()} == {"truth.csv"}
    points = found[TITLES[0]]
    meta = read_table(data, META).set_index(["series_id", "instance_number"])["PixelSpacing"]
    spacing = np.array(
        list(meta.loc[list(zip(points.cases["series_id"], points.cases["instance_number"], strict=True))])
    )
    np.testing.assert_allclose(points.cases["error"], np.hypot(4 * spacing[:, 0], 3 * spacing[:, 1]))
    assert sum(map(len, points.groups.values())) == len(points.cases) == len(read_table(data, SAGITTAL_XY))
    assert {name: len(values) for name, values in found[TITLES[1]].groups.items()} == dict.fromkeys(
        ("left", "right"), len(read_table(data, AXIAL_XY))
    )
    slices = found[TITLES[2]].groups
    assert slices["left_nfn"].tolist() == [0] * len(slices["left_nfn"])
    assert len(slices["left_nfn"]) > 0
    assert {value for values in found[TITLES[3]].groups.values() for value in values} == {0}


def test_a_level_that_is_mapped_nowhere_is_infinitely_far(data: Path) -> None:
    truth = read_table(data, TRUTH)
    axial = int(read_table(data, AXIAL_XY)["series_id"].iloc[0])
    others = pd.DataFrame({"level": LEVELS}).assign(
        study_id=0, series_id=axial, instance_number=2, structure="level", x=1, y=1, img_w=1, img_h=1
    )
    write_table(pd.concat([truth, others]), data, TRUTH)
    mapping = read_table(data, AXIAL_LEVELS)
    write_table(mapping[mapping["series_id"] != axial], data, AXIAL_LEVELS)
    groups = measure(data)[0][TITLES[3]].groups
    assert all(np.isinf(values).any() for values in groups.values())


def test_without_a_truth_the_labels_are_the_reference(mini: Path) -> None:
    found, notes = measure(mini / "datamount")
    assert notes == []
    assert {errors.reference for errors in found.values()} == {"the human marks"}
    assert all(sum(map(len, errors.groups.values())) for errors in found.values())


def test_what_cannot_be_measured_is_said(mini: Path) -> None:
    data = mini / "datamount"
    (data / SAGITTAL_SLICES.path).unlink()
    labels = read_table(data, LABEL_COORDINATES)
    write_table(labels[:0], data, LABEL_COORDINATES)
    found, notes = measure(data)
    assert found == {}
    assert [note.partition(" not measured: ")[0] for note in notes] == [
        "sagittal points are",
        "axial points are",
        "foraminal and canal slices are",
        "axial slices of the levels are",
    ]
    (data / META.path).unlink()
    assert measure(data)[1][0].startswith("localisation is not measured: ")
