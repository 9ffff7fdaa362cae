import numpy as np
import pytest

from lumbar.images.geometry import SlicePlane, orientation_name

SAGITTAL = [0, 1, 0, 0, 0, -1]
AXIAL = [1, 0, 0, 0, 1, 0]


def test_first_pixel_is_the_image_position() -> None:
    plane = SlicePlane.from_tags([3, 4, 5], SAGITTAL, [0.5, 0.5])
    np.testing.assert_array_equal(plane.to_patient([0, 0]), [3, 4, 5])


def test_pixel_spacing_is_row_spacing_first() -> None:
    """x runs along a row, so it is scaled by the distance between columns = PixelSpacing[1]."""
    plane = SlicePlane.from_tags([0, 0, 0], AXIAL, [0.5, 2.0])
    np.testing.assert_allclose(plane.to_patient([[10, 0], [0, 10]]), [[20, 0, 0], [0, 5, 0]])


def test_to_pixels_undoes_to_patient_on_a_tilted_plane() -> None:
    angle = np.radians(25)
    orientation = [1, 0, 0, 0, np.cos(angle), -np.sin(angle)]
    plane = SlicePlane.from_tags([-80, -60, 20], orientation, [0.7, 0.6])
    pixels = np.array([[0.0, 0.0], [12.25, 300.5], [511.0, 7.0]])
    points = plane.to_patient(pixels)
    np.testing.assert_allclose(plane.to_pixels(points), pixels, atol=1e-9)
    np.testing.assert_allclose(plane.distance(points), 0, atol=1e-9)
    np.testing.assert_allclose(plane.distance(points + 4 * plane.normal), 4)
    np.testing.assert_allclose(plane.to_pixels(points + 4 * plane.normal), pixels, atol=1e-9)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (([0, 0], SAGITTAL, [1, 1]), "ImagePositionPatient must hold 3"),
        (([0, 0, 0], [1, 0, 0], [1, 1]), "ImageOrientationPatient must hold 6"),
        (([0, 0, 0], SAGITTAL, [1, np.nan]), "PixelSpacing must hold 2 finite"),
        (([0, 0, 0], SAGITTAL, [1, 0]), "PixelSpacing must be positive"),
    ],
)
def test_bad_tags_are_named(tags: tuple[list[float], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SlicePlane.from_tags(*tags)


@pytest.mark.parametrize(
    ("orientation", "name"), [(SAGITTAL, "sagittal"), (AXIAL, "axial"), ([1, 0, 0, 0, 0.2, -0.98], "coronal")]
)
def test_orientation_is_named_by_the_nearest_axis(orientation: list[float], name: str) -> None:
    assert orientation_name(orientation) == name
