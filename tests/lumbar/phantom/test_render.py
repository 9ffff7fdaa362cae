import dataclasses

import numpy as np
import pytest

from lumbar.anatomy import LEVELS, TARGETS
from lumbar.images.geometry import SlicePlane
from lumbar.phantom.patient import sample_patient
from lumbar.phantom.render import WHITE, Scanner, acquire, render_series, sample_scanner

SHAPE = (160, 120)
QUIET = next(  # a state whose scanner neither ghosts nor shifts fat
    seed for seed in range(100) if not (scan := sample_scanner(np.random.default_rng(seed))).ghost + scan.fat_shift
)


def patient_with(**grades):
    return sample_patient(np.random.default_rng(8), dict.fromkeys(TARGETS, 0) | grades)


NORMAL = patient_with()


def sagittal(x, patient=NORMAL):
    _, y, z = patient.level_point("l3_l4")
    return SlicePlane.from_tags((x, y - 42, z + 80), (0, 1, 0, 0, 0, -1), (1, 1))


def axial(patient, level):
    normal = patient.disc_normal(level)
    right = np.array([1.0, 0, 0]) - normal[0] * normal
    right /= np.linalg.norm(right)
    back = np.cross(normal, right)
    origin = patient.centres(level)["canal"] - 40 * right - 50 * back
    return SlicePlane.from_tags(origin, (*right, *back), (0.7, 0.7))


def render(patient, planes, contrast="T2", seed=QUIET, thickness=4.0):
    return [
        image.astype(float)
        for image in render_series(patient, planes, SHAPE, thickness, contrast, np.random.default_rng(seed))
    ]


def value(image, plane, point):
    x, y = np.rint(plane.to_pixels(point)).astype(int)
    return image[y - 1 : y + 2, x - 1 : x + 2].mean()


def distance(plane, centre):
    """Distance of every pixel of a slice from a point, mm."""
    cols, rows = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0]))
    return np.linalg.norm(plane.to_patient(np.stack([cols, rows], axis=-1)) - centre, axis=-1)


@pytest.mark.parametrize(
    ("contrast", "order"),
    [("T1", ("fat", "marrow", "csf")), ("T2", ("csf", "marrow", "annulus")), ("STIR", ("csf", "marrow", "fat"))],
)
def test_tissues_at_their_places_have_the_order_of_the_contrast(contrast, order):
    x = float(NORMAL.centres("l3_l4")["canal"][0])
    plane = sagittal(x)
    (image,) = render(NORMAL, [plane], contrast)
    bone, disc = NORMAL.vertebrae[7], NORMAL.discs[7]
    height = NORMAL.spine.to_patient(bone.s, 0, 0)[2]
    fascia = NORMAL.back["fascia"][round(height) + 260]
    places = {
        "csf": NORMAL.centres("l3_l4")["canal"] - (0, 3, 0),
        "marrow": NORMAL.spine.to_patient(bone.s + 5, 0.0, bone.middle),
        "annulus": NORMAL.spine.to_patient(disc.s, 0.0, -NORMAL.vertebrae[8].depth + 3),
        "fat": (x, fascia + 5, height),
    }
    values = [value(image, plane, places[name]) for name in order]
    assert values[0] > 1.3 * values[1] > 1.3 * 1.3 * values[2]


def test_sagittal_and_axial_slices_agree_about_a_point():
    axials = [axial(NORMAL, level) for level in LEVELS]
    x = float(NORMAL.centres("l3_l4")["canal"][0])
    sides = [sagittal(x + dx) for dx in (-18, -6, 0, 6, 18)]
    across = render(NORMAL, axials, thickness=1.0)
    along = render(NORMAL, sides, thickness=1.0)
    pairs = []
    for level, plane, image in zip(LEVELS, axials, across, strict=True):
        for side, picture in zip(sides, along, strict=True):
            for back in range(-30, 16, 3):
                # where the row of the axial slice that lies `back` mm behind the canal cuts the sagittal one
                point = NORMAL.centres(level)["canal"] + back * plane.col_dir
                point += (side.origin[0] - point[0]) / plane.row_dir[0] * plane.row_dir
                pairs.append((value(image, plane, point), value(picture, side, point)))
    one, other = np.array(pairs).T
    assert np.corrcoef(one, other)[0, 1] > 0.9
    assert np.median(np.abs(one - other)) < 0.08 * one.max()


@pytest.mark.parametrize(
    ("target", "contrast", "centre", "reach"),
    [
        ("left_neural_foraminal_narrowing_l4_l5", "T1", lambda p: p.centres("l4_l5")["left_foramen"], 20),
        ("right_subarticular_stenosis_l4_l5", "T2", lambda p: p.centres("l4_l5")["right_recess"], 16),
        ("spinal_canal_stenosis_l4_l5", "T2", lambda p: p.centres("l4_l5")["canal"], 26),
    ],
)
def test_a_severe_grade_changes_its_own_place_only(target, contrast, centre, reach):
    sick = patient_with(**{target: 2})
    middle = centre(NORMAL)
    planes = [sagittal(float(middle[0]) + dx) for dx in (-24, -16, -8, 0, 8, 16, 24)] + [axial(NORMAL, "l4_l5")]
    changed = 0
    for plane, one, other in zip(planes, render(NORMAL, planes, contrast), render(sick, planes, contrast), strict=True):
        different = one != other
        assert (distance(plane, middle)[different] < reach).all()
        changed += different.sum()
    assert changed > 60


def bright_area(patient, level):
    plane = axial(patient, level)
    (image,) = render(patient, [plane])
    near = distance(plane, NORMAL.centres(level)["canal"]) < 13
    midline = np.abs(np.arange(SHAPE[1]) - plane.to_pixels(NORMAL.centres(level)["canal"])[0]) < 8
    return (image[near & midline] > 0.6 * image[near].max()).sum()


def fat_of_foramen(patient, side):
    centre = patient.centres("l4_l5")[f"{side}_foramen"]
    plane = sagittal(float(centre[0]), patient)
    (image,) = render(patient, [plane], "T1")
    return image[distance(plane, centre) < 9].mean()


def recess(patient):
    centre = patient.centres("l4_l5")["left_recess"]
    plane = axial(patient, "l4_l5")
    (image,) = render(patient, [plane])
    return image[distance(plane, centre) < 3.5].mean()


@pytest.mark.parametrize(
    ("condition", "measure"),
    [
        ("spinal_canal_stenosis", lambda patient: bright_area(patient, "l4_l5")),
        ("left_neural_foraminal_narrowing", lambda patient: fat_of_foramen(patient, "left")),
        ("left_subarticular_stenosis", recess),
    ],
)
def test_what_is_measured_shrinks_with_the_grade(condition, measure):
    normal, moderate, severe = (measure(patient_with(**{f"{condition}_l4_l5": grade})) for grade in range(3))
    assert normal > 1.05 * moderate > 1.05 * 1.05 * severe


def test_the_other_foramen_keeps_its_fat():
    sick = patient_with(left_neural_foraminal_narrowing_l4_l5=2)
    assert fat_of_foramen(sick, "right") == fat_of_foramen(NORMAL, "right")
    assert fat_of_foramen(sick, "left") < 0.8 * fat_of_foramen(NORMAL, "left")


def test_the_same_state_gives_the_same_pixels_and_another_does_not():
    planes = [sagittal(0.0), sagittal(10.0)]
    one, same, other = (render(NORMAL, planes, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_pixels_are_12_bit_and_slices_come_one_by_one():
    series = render_series(NORMAL, [sagittal(0.0)] * 3, SHAPE, 4.0, "T1", np.random.default_rng(0))
    image = next(series)
    assert image.shape == SHAPE and image.dtype == np.uint16
    assert 300 < np.quantile(image, 0.995) <= 4095
    assert len(list(series)) == 2


PLAIN = Scanner(
    coil_reach=1e6, evenness=0.0, noise=0.0, blur=0.3, fat_shift=0.0, ghost=0.0, ghost_step=0.25, scale=1000.0
)
DEPTH = np.zeros((40, 30), dtype=np.float32)


def square(channels=1):
    picture = np.zeros((channels, 40, 30), dtype=np.float32)
    picture[-1, 16:24, 10:20] = 0.5
    return picture


def scan(picture, depth=DEPTH, level=0.5, **changes):
    return acquire(picture, depth, dataclasses.replace(PLAIN, **changes), level, np.random.default_rng(0))


def test_a_perfect_scanner_only_scales():
    image = scan(square())
    assert image.dtype == np.uint16
    assert image[20, 15] == 1000 and image[5, 5] == 0


def test_white_is_the_end():
    assert scan(square(), scale=1e5).max() == WHITE


def test_fat_moves_along_columns():
    image = scan(square(channels=2), fat_shift=2.0)
    assert image[20, 20:22].min() > 980 and image[20, 10] == 0


def test_the_coil_sees_half_at_its_reach_and_correction_undoes_it():
    depth = DEPTH + 100
    assert scan(square(), depth, coil_reach=100.0)[20, 15] == 500
    assert scan(square(), depth, coil_reach=100.0, evenness=1.0)[20, 15] == 1000


def test_ghosts_lie_along_rows():
    image = scan(square(), ghost=0.02)
    assert image[20 + 10, 15] == image[20 - 10, 15] == 20
    assert image[20, 5] == 0


def test_noise_without_signal_has_the_rayleigh_mean():
    image = scan(np.zeros((1, 200, 200), dtype=np.float32), np.zeros((200, 200), dtype=np.float32), noise=0.1)
    assert image.mean() == pytest.approx(100 * np.sqrt(np.pi / 2), rel=0.02)


def test_drawn_scanners_differ_and_repeat():
    one, other = (sample_scanner(np.random.default_rng(seed)) for seed in (1, 2))
    assert one != other and one == sample_scanner(np.random.default_rng(1))
    assert {bool(sample_scanner(np.random.default_rng(seed)).fat_shift) for seed in range(20)} == {True, False}
