"""Slices are cached in the standard display, with their geometry, or left out with a word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lumbar.images.dicom import read_slice, read_tags
from lumbar.images.display import Turn, in_other_plane
from lumbar.images.geometry import SlicePlane, are_directions
from lumbar.images.preparation import Report, SeriesJob, prepare_series

WriteDicom = Callable[..., Path]
PIXELS = np.arange(48, dtype=np.uint16).reshape(6, 8) * 5
AXIAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]
STORED = {
    "as displayed": lambda across, down: (across, down),
    "mirrored": lambda across, down: (-across, down),
    "upside down": lambda across, down: (across, -down),
    "turned by 180 degrees": lambda across, down: (-across, -down),
    "turned by 90 degrees": lambda across, down: (down, -across),
    "transposed": lambda across, down: (down, across),
}


def prepare(folder: Path) -> Report:
    return prepare_series(SeriesJob(folder.parents[1], folder.parent.name, folder.name, ("v01",), force=False))


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL])
@pytest.mark.parametrize("way", list(STORED))
def test_every_pixel_stays_where_it_is_in_the_patient(
    write_dicom: WriteDicom, tmp_path: Path, orientation: list[int], way: str
) -> None:
    across, down = STORED[way](*np.array(orientation, float).reshape(2, 3))
    path = write_dicom(tmp_path / "test_images" / "1" / "2" / "3.dcm", PIXELS, PixelSpacing=[0.5, 0.75],
                       ImageOrientationPatient=[*across, *down], ImagePositionPatient=[1, 2, 3],
                       WindowCenter=127.5, WindowWidth=255)  # fmt: skip
    row = prepare(path.parent).rows[0]
    assert row["ImageOrientationPatient"] == tuple(orientation)
    picture = cv2.imread(str(tmp_path / "test_images_v01" / "1" / "2" / "3.png"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (row["img_h"], row["img_w"])
    keys = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    before, after = (SlicePlane.from_tags(*(tags[key] for key in keys)) for tags in (read_tags(path), row))
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    stored = np.rint(before.to_pixels(after.to_patient(np.stack([x, y], -1)))).astype(int)
    np.testing.assert_array_equal(picture, read_slice(path).stored[stored[..., 1], stored[..., 0]])
    assert prepare(path.parent).kept == 1


def test_a_mirrored_slice_with_labels_is_left_out(write_dicom: WriteDicom, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "train_images/1/2/3.dcm", PIXELS, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    report = prepare(path.parent)
    assert not report.rows and "is stored mirrored or turned" in report.failures[0][1]


def test_a_slice_in_another_plane_is_left_out(write_dicom: WriteDicom, tmp_path: Path) -> None:
    folder = tmp_path / "train_images" / "1" / "2"
    for n in range(1, 5):
        write_dicom(folder / f"{n}.dcm", PIXELS, ImageOrientationPatient=AXIAL, ImagePositionPatient=[0, 0, n])
    prepare(folder)
    write_dicom(folder / "3.dcm", PIXELS, ImageOrientationPatient=SAGITTAL)
    report = prepare(folder)
    assert [row["instance_number"] for row in report.rows] == [1, 2, 4]
    assert report.failures == []
    assert [path.name for path in report.scouts] == ["3.dcm"]
    assert not (tmp_path / "train_images_v01" / "1" / "2" / "3.png").exists()


def test_tilted_stacks_are_one_series() -> None:
    tilted = [(1.0, 0, 0, 0, float(np.cos(t)), float(np.sin(t))) for t in np.radians([-20, 0, 20, 40])]
    assert in_other_plane(tilted) == [False] * 4
    assert in_other_plane([tuple(map(float, AXIAL)), tuple(map(float, SAGITTAL)), float("nan")]) == [False] * 3


@pytest.mark.parametrize("orientation", [[0] * 6, [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 0.5, 0.87, 0]])
def test_directions_that_are_none_count_as_absent(
    write_dicom: WriteDicom, tmp_path: Path, orientation: list[float]
) -> None:
    path = write_dicom(tmp_path / "1.dcm", PIXELS, ImageOrientationPatient=orientation, PixelSpacing=[0, 0])
    tags: dict[str, Any] = read_tags(path)
    assert not are_directions(orientation) and not Turn.of(tags)
    assert np.isnan(tags["ImageOrientationPatient"]) and np.isnan(tags["PixelSpacing"])
