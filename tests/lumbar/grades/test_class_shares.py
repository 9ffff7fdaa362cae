import numpy as np
import pytest

from lumbar.anatomy import MISSING
from lumbar.grades.class_shares import PRIOR, class_shares, counted_shares, weighted
from lumbar.grades.scoring import score_parts


def test_class_shares_are_the_best_constant_answer():
    shares = class_shares()
    assert shares.shape == (25, 3)
    assert shares.sum(1) == pytest.approx([1] * 25)
    # Of 0.955, 0.034, 0.011, weighted 1, 2, 4.
    assert shares[0].tolist() == pytest.approx([0.955 / 1.067, 0.068 / 1.067, 0.044 / 1.067])
    assert np.array_equal(shares[5:10], shares[10:15])


def test_class_shares_count_left_and_right_together_and_each_study_once() -> None:
    labels = np.full((4, 25), MISSING)
    labels[:, 0] = [0, 0, 1, MISSING]  # canal, L1/L2
    labels[:, 5], labels[:2, 10] = 0, 2  # left and right foramen, L1/L2
    shares = counted_shares(labels)
    assert shares[0] == pytest.approx(np.array([2, 1, 0]) / 4.5 + PRIOR / 4.5)
    assert shares[5] == pytest.approx(np.array([4, 0, 2]) / 7.5 + PRIOR / 7.5)
    np.testing.assert_array_equal(shares[5], shares[10])
    assert shares[1] == pytest.approx([1 / 3] * 3)
    np.testing.assert_allclose(shares.sum(1), 1)


def test_with_many_labels_no_constant_beats_the_weighted_shares() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(3, (4000, 25), p=(0.7, 0.2, 0.1))
    plain = counted_shares(labels[:2000])
    best = weighted(plain)
    other = best * [1.1, 1, 1]
    scores = [score_parts(np.broadcast_to(each / each.sum(-1, keepdims=True), (2000, 25, 3)), labels[2000:])["nfn"]
              for each in (best, plain, other)]  # fmt: skip
    assert scores[0] < min(scores[1:])
