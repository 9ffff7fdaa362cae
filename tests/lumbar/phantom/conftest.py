"""A patient simple enough to know every answer: straight upright spine, bodies 30 mm apart, discs 6 mm high."""

import numpy as np
import pytest

from lumbar.anatomy import LEVELS, VERTEBRAE


class StraightPatient:
    """Bodies are boxes: x -22..22, y -30..0, 24 mm high; L3's middle is the origin's height."""

    def vertebra_corners(self, label, x):
        if abs(x) > 22:
            return None
        z = 30.0 * (VERTEBRAE.index("L3") - VERTEBRAE.index(label))
        return np.array([(x, 0, z + 12), (x, 0, z - 12), (x, -30, z - 12), (x, -30, z + 12)])

    def level_point(self, level, x=None):
        upper = 30.0 * (2 - LEVELS.index(level))
        return np.array([0.0 if x is None else x, 0, 0.7 * (upper - 12) + 0.3 * (upper - 30 + 12)])

    def canal_centre(self, level):
        return self.level_point(level) + np.array((0, 8, 0))

    def foramen_centre(self, level, side):
        return self.level_point(level) + np.array((18 if side == "left" else -18, 4, 6))

    def recess_centre(self, level, side):
        return self.level_point(level) + np.array((10 if side == "left" else -10, 3, 0))

    def disc_normal(self, level):
        return np.array([0.0, 0.0, 1.0])


@pytest.fixture
def straight_patient():
    return StraightPatient()
