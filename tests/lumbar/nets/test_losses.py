import math

import pytest
import torch

from lumbar.nets.losses import GradeLoss, Loss, mean_of_defined, weighted_mean


def test_grades_weigh_1_2_4():
    logits = torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    loss = GradeLoss()(logits, torch.tensor([0, 2, -100]))
    rest = math.log(math.exp(2) + 2)
    assert loss.value.item() == pytest.approx((1 * (rest - 2) + 4 * rest) / 5)
    assert loss.report() == loss.value


def test_without_labels_the_loss_is_zero_in_the_graph_and_nan_in_the_report():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = GradeLoss()(logits, torch.tensor([-100, -100]))
    assert loss.value.item() == 0
    assert torch.isnan(loss.report())
    loss.value.backward()
    assert torch.equal(logits.grad, torch.zeros(2, 3))


def test_no_rows_at_all():
    loss = GradeLoss()(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert loss.value.item() == 0 and not loss.defined


def test_half_precision_is_computed_in_single():
    loss = GradeLoss()(torch.tensor([[300.0, 0, 0]], dtype=torch.float16), torch.tensor([1]))
    assert loss.value.dtype == torch.float32
    assert loss.value.item() == pytest.approx(300)


def test_undefined_losses_are_left_out_of_a_mean():
    yes, no = torch.tensor(True), torch.tensor(False)
    losses = [Loss(torch.tensor(2.0), yes), Loss(torch.tensor(0.0), no), Loss(torch.tensor(4.0), yes)]
    assert mean_of_defined(losses).value.item() == 3
    assert not mean_of_defined(losses[1:2]).defined


def test_weighted_mean_over_another_divisor():
    values, mask = torch.tensor([[1.0, 2.0], [5.0, 5.0]]), torch.tensor([[1, 1], [0, 0]])
    assert weighted_mean(values, mask).value.item() == 1.5
    assert weighted_mean(values, mask, mask / 2).value.item() == 3
