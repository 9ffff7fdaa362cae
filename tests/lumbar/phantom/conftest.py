"""A patient simple enough to know every answer: straight upright spine, bodies 30 mm apart, discs 6 mm high."""

import numpy as np
import pytest

from lumbar.anatomy import LEVELS, TARGETS, VERTEBRAE
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.canvas import Canvas
from lumbar.phantom.patient import STRUCTURES, sample_patient
from lumbar.phantom.tissue import signals


class StraightPatient:
    """Bodies are boxes: x -22..22, y -30..0, 24 mm high; L3's middle is the origin's height."""

    def vertebra_corners(self, label, x):
        if abs(x) > 22:
            return None
        z = 30.0 * (VERTEBRAE.index("L3") - VERTEBRAE.index(label))
        return np.array([(x, 0, z + 12), (x, 0, z - 12), (x, -30, z - 12), (x, -30, z + 12)])

    def level_point(self, level):
        upper = 30.0 * (2 - LEVELS.index(level))
        return np.array([0.0, 0, 0.7 * (upper - 12) + 0.3 * (upper - 30 + 12)])

    def centres(self, level):
        places = ((0, 8, 0), (18, 4, 6), (-18, 4, 6), (10, 3, 0), (-10, 3, 0))
        return {name: self.level_point(level) + place for name, place in zip(STRUCTURES, places, strict=True)}

    def disc_normal(self, level):
        return np.array([0.0, 0.0, 1.0])


@pytest.fixture
def straight_patient():
    return StraightPatient()


@pytest.fixture(scope="module")
def painted():
    """``painted(contrast, x, s, reach, **grades)`` gives an empty sagittal canvas and a look at its pixels.

    The canvas lies `x` mm left of the mid-line at `s` mm along the spine, and reaches `reach` mm to each side. The look
    is ``at(s, u, v)``: what is painted at straight coordinates.
    """

    def empty(contrast, x=0.0, s=0.0, reach=60, **grades):
        patient = sample_patient(np.random.default_rng(11), dict.fromkeys(TARGETS, 0) | grades)
        middle = patient.spine.to_patient(s, x, 0.0)
        size = 4 * reach
        corner = np.add(middle, (0, -reach, reach))
        plane = SlicePlane.from_tags(corner, (0, 1, 0, 0, 0, -1), (0.5, 0.5))
        picture = np.zeros((1, 1, size, size), dtype=np.float32)
        canvas = Canvas.over(patient, plane, picture, 0.0, signals(contrast, split_fat=False))

        def at(s, u, v):
            x, y = np.rint(plane.to_pixels(patient.spine.to_patient(s, u, v))).astype(int)
            return float(picture[0, 0, y, x])

        return canvas, at

    return empty
