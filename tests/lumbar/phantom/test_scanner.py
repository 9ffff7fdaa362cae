import dataclasses

import numpy as np
import pytest

from lumbar.phantom.scanner import WHITE, Scanner, acquire, sample_scanner

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
