import math

import numpy as np
import pytest
import torch

from lumbar.grades.score_loss import score_loss, score_losses
from lumbar.grades.scoring import score_parts, softmax, total_score

PARTS = ["scs", "nfn", "ss", "any_severe"]


def competition(seed: int, missing: float):
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 1, 2], p=[0.7, 0.2, 0.1], size=(30, 25))
    target[rng.random(target.shape) < missing] = -100
    return torch.from_numpy(rng.normal(0, 2, (30, 25, 3))), torch.from_numpy(target)


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.8])
def test_equals_the_score(missing):
    logits, target = competition(1, missing)
    losses = score_losses(logits, target)
    expected = score_parts(softmax(logits), target)
    assert list(losses) == list(expected) == PARTS
    assert [float(loss.value) for loss in losses.values()] == pytest.approx(list(expected.values()), abs=2e-6)
    assert float(score_loss(losses).value) == pytest.approx(total_score(expected), abs=2e-6)


def test_a_part_without_labels_is_left_out():
    logits, target = competition(2, 0.1)
    target[:, :15] = -100
    losses = score_losses(logits, target)
    assert [bool(loss.defined) for loss in losses.values()] == [False, False, True, False]
    assert float(score_loss(losses).value) == pytest.approx(float(losses["ss"].value))
    nothing = score_loss(score_losses(logits, torch.full_like(target, -100)))
    assert not nothing.defined and nothing.value == 0 and math.isnan(nothing.report())


def test_missing_labels_get_no_gradient_and_any_severe_reaches_the_worst_level():
    logits = torch.zeros(1, 25, 3)
    logits[0, 3, 2] = 1.0  # the most severe level
    logits.requires_grad_()
    target = torch.full((1, 25), -100)
    target[0, 1] = 2
    score_losses(logits, target)["any_severe"].value.backward()
    assert logits.grad is not None
    reached = logits.grad.abs().sum(-1)[0]
    assert reached.nonzero().tolist() == [[3]]
    assert logits.grad[0, 3, 2] < 0  # the label says severe: raise it


def test_certain_and_wrong_is_finite():
    logits = torch.zeros(1, 25, 3, requires_grad=True)
    loss = score_loss(score_losses(logits + torch.tensor([0.0, 0.0, 200.0]), torch.zeros(1, 25, dtype=torch.long)))
    loss.value.backward()
    assert loss.value.isfinite() and logits.grad is not None and logits.grad.isfinite().all()
