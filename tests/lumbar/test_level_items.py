import numpy as np

from lumbar.level_items import random_stretch


def test_random_stretch():
    rng = np.random.default_rng(0)
    lengths, starts = set(), set()
    for _ in range(300):
        stretch = random_stretch(np.arange(20), rng)
        assert (np.diff(stretch) == 1).all()
        lengths.add(len(stretch))
        starts.add(int(stretch[0]))
    assert lengths == set(range(10, 19))
    assert starts >= set(range(8))


def test_a_stretch_keeps_at_least_one_slice():
    rng = np.random.default_rng(0)
    assert {len(random_stretch(np.arange(1), rng)) for _ in range(50)} == {1}
    assert {len(random_stretch(np.arange(2), rng)) for _ in range(50)} == {1, 2}
