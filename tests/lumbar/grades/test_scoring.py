import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from lumbar.anatomy import TARGETS
from lumbar.grades.scoring import missing_shares, score_parts, softmax, total_score


def random_competition(seed: int, studies: int = 40, missing: float = 0.1):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2], p=[0.7, 0.2, 0.1], size=(studies, 25))
    labels[rng.random(labels.shape) < missing] = -100
    return softmax(rng.normal(0, 2, (studies, 25, 3))), labels


def reference(probabilities, labels) -> list[float]:
    """Score as the competition describes it: a table of one row per study and target, scikit-learn's log loss."""
    rows = [
        {"study": study, "target": target, "label": labels[study, i], "p": probabilities[study, i]}
        for study in range(len(labels))
        for i, target in enumerate(TARGETS)
    ]
    table = pd.DataFrame(rows)
    table["weight"] = table["label"].map({0: 1, 1: 2, 2: 4, -100: 0})
    losses = []
    for condition in ("spinal", "foraminal", "subarticular"):
        part = table[table["target"].str.contains(condition) & (table["weight"] > 0)]
        losses.append(log_loss(part["label"], np.stack(part["p"]), sample_weight=part["weight"], labels=[0, 1, 2]))
    spinal = table[table["target"].str.contains("spinal")].assign(severe=lambda t: t["label"] == 2)
    spinal["p_severe"] = [p[2] for p in spinal["p"]]
    studies = spinal.groupby("study")[["severe", "weight", "p_severe"]].max()
    losses.append(log_loss(studies["severe"], studies["p_severe"], sample_weight=studies["weight"]))
    return losses


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.8])
def test_equals_the_competitions_scorer(missing):
    probabilities, labels = random_competition(int(10 * missing), missing=missing)
    parts = score_parts(probabilities, labels)
    expected = reference(probabilities, labels)
    assert list(parts) == ["scs", "nfn", "ss", "any_severe"]
    assert list(parts.values()) == pytest.approx(expected, abs=1e-9)
    assert total_score(parts) == pytest.approx(np.mean(expected), abs=1e-9)


def test_knowing_nothing():
    parts = score_parts(np.full((1, 25, 3), 1 / 3), np.zeros((1, 25), dtype=int))
    assert [parts[name] for name in ("scs", "nfn", "ss")] == pytest.approx([math.log(3)] * 3)
    assert parts["any_severe"] == pytest.approx(-math.log(2 / 3))


def test_certain_and_wrong_is_bounded():
    probabilities = np.zeros((1, 25, 3))
    probabilities[..., 0] = 1
    parts = score_parts(probabilities, np.full((1, 25), 2))
    assert parts["scs"] == pytest.approx(-math.log(np.finfo(float).eps))
    assert score_parts(probabilities, np.zeros((1, 25), dtype=int))["scs"] == pytest.approx(0, abs=1e-12)


def test_a_severe_label_weighs_four():
    labels = np.full((1, 25), -100)
    labels[0, :2] = 0, 2
    probabilities = np.full((1, 25, 3), 1 / 3)
    probabilities[0, 0] = 0.5, 0.25, 0.25
    parts = score_parts(probabilities, labels)
    assert parts["scs"] == pytest.approx((math.log(2) + 4 * math.log(3)) / 5)
    assert parts["any_severe"] == pytest.approx(math.log(3))


def test_a_part_without_labels_is_nan_and_left_out_of_the_mean():
    probabilities, labels = random_competition(1)
    labels[:, 15:] = -100
    parts = score_parts(probabilities, labels)
    assert math.isnan(parts["ss"])
    assert total_score(parts) == pytest.approx(np.mean([parts[name] for name in ("scs", "nfn", "any_severe")]))
    assert missing_shares(labels)["ss"] == 1
    assert math.isnan(total_score(score_parts(probabilities, np.full_like(labels, -100))))


@pytest.mark.parametrize("shape", [(3, 24, 3), (3, 25, 2), (25, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="expected probabilities"):
        score_parts(np.ones(shape), np.zeros((3, 25), dtype=int))
