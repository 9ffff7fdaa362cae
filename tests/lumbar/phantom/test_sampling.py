import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from lumbar.anatomy import LEVELS, TARGETS
from lumbar.phantom import severity
from lumbar.phantom.sampling import sample_build, sample_discs, sample_spine, sample_vertebrae
from lumbar.phantom.spine import index
from lumbar.phantom.vertebra import MEANS


def rng(seed=0):
    return np.random.default_rng(seed)


def discs(seed=0, **grades):
    return sample_discs(rng(seed), sample_vertebrae(rng(seed), 1.0), dict.fromkeys(TARGETS, 0) | grades, 190.0)


def test_vertebrae_stand_on_each_other_without_touching():
    bones = sample_vertebrae(rng(), 1.0)
    assert [bone.label for bone in bones] == list(MEANS)
    assert next(bone.s for bone in bones if bone.label == "L3") == 0
    for upper, lower in pairwise(bones):
        assert upper.s - 0.5 * upper.height > lower.s + 0.5 * lower.height


def test_a_larger_patient_is_larger_throughout():
    small, large = (sample_vertebrae(rng(), size) for size in (0.9, 1.1))
    for one, other in zip(small, large, strict=True):
        assert other.height / one.height == pytest.approx(1.1 / 0.9)
        assert other.depth > one.depth and other.width > one.width


def test_sizes_are_plain_numbers():
    bone = sample_vertebrae(rng(), 1.0)[5]
    assert type(bone.height) is type(bone.s) is type(bone.pedicle_width) is float  # numpy's would widen every array
    disc = discs()[6]
    assert type(disc.sac_area) is type(disc.bulge) is type(disc.recess_height[1]) is float


def test_discs_fill_the_gaps_and_know_their_level():
    bones = sample_vertebrae(rng(), 1.0)
    found = discs()
    assert [disc.level for disc in found if disc.level] == list(LEVELS)
    assert found[5].level == "l1_l2"
    for upper, lower, disc in zip(bones, bones[1:], found, strict=False):
        assert disc.s + 0.5 * disc.height == pytest.approx(upper.s - 0.5 * upper.height)
        assert disc.s - 0.5 * disc.height == pytest.approx(lower.s + 0.5 * lower.height)


@pytest.mark.parametrize("seed", range(5))
def test_a_grade_moves_its_own_measure_only(seed):
    normal = discs(seed)
    severe = discs(seed, left_neural_foraminal_narrowing_l4_l5=2)
    at = 5 + LEVELS.index("l4_l5")
    assert [one == other for one, other in zip(normal, severe, strict=True)].count(False) == 1
    changed = {name for name, value in vars(normal[at]).items() if value != getattr(severe[at], name)}
    assert changed == {"foramen_width", "foramen_height"}
    assert severe[at].foramen_width[0] < 3.6 < 6.4 <= normal[at].foramen_width[0]
    assert severe[at].foramen_width[1] == normal[at].foramen_width[1]


@pytest.mark.parametrize("grade", [0, 1, 2])
def test_measures_lie_in_their_ranges(grade):
    for seed in range(10):
        disc = discs(seed, **{f"{side}_subarticular_stenosis_l3_l4": grade for side in ("left", "right")},
                     spinal_canal_stenosis_l3_l4=grade)[7]  # fmt: skip
        low, high = severity.RECESS_HEIGHT[grade]
        assert all(low <= height <= high for height in disc.recess_height)
        low, high = severity.SAC_AREA[grade]
        assert low <= disc.sac_area <= high


def test_the_curve_is_lordotic_and_passes_near_the_isocentre():
    bones = sample_vertebrae(rng(), 1.0)
    for seed in range(20):
        spine = sample_spine(rng(seed), bones)
        up = {bone.label: np.degrees(spine.angle[index(bone.s)]) for bone in bones}
        assert 20 < up["L1"] - up["S1"] < 90
        assert np.abs(spine.to_patient(0.0, 0.0, 0.0)).max() < 60
        assert np.abs(spine.midline(np.linspace(-120, 120, 50)) - spine.origin[0]).max() < 20


def test_the_cord_ends_about_the_first_lumbar_vertebra():
    bones = sample_vertebrae(rng(), 1.0)
    ends = [sample_build(rng(seed), bones, 1.0).conus_s for seed in range(200)]
    s = {bone.label: bone.s for bone in bones}
    assert s["L2"] < np.mean(ends) < s["L1"]
    assert np.percentile(ends, 1) > s["L3"] and np.percentile(ends, 99) < s["T11"]


def test_a_wedge_is_higher_in_front_and_keeps_the_mean():
    bone = dataclasses.replace(sample_vertebrae(rng(), 1.0)[7], height=28.0, depth=34.0, wedge=0.0)
    wedged = dataclasses.replace(bone, wedge=0.05)
    front, back = wedged.half_height(-34.0), wedged.half_height(0.0)
    assert front - back == pytest.approx(0.05 * 34)
    assert 0.5 * (front + back) == pytest.approx(14)
    assert bone.half_height(np.array([-34.0, 0.0])).tolist() == [14, 14]


def test_means_grow_towards_the_sacrum():
    lumbar = [MEANS[label] for label in ("L1", "L2", "L3", "L4", "L5")]
    for name in ("width", "depth", "pedicle_width", "canal_width"):
        values = [getattr(mean, name) for mean in lumbar]
        assert values == sorted(values)
    assert 45 < MEANS["L1"].lean - MEANS["S1"].lean < 65  # lordosis, degrees
