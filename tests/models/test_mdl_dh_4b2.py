import math

import pytest
import torch

from lumbar.cli import UserError
from models.mdl_dh_4b2 import MASK_OBJECTIVES, Net


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("bce", math.log(2)),  # logits 0: every probability is a half
        ("batch_softmax", 1.25 * math.log(2)),  # logits 0: each of two slices has probability a half; targets as are
        ("l1", (1 + 0.25) / 2),
    ],
)
def test_mask_objectives_of_a_network_that_knows_nothing(objective, expected):
    loss = MASK_OBJECTIVES[objective](torch.zeros(2), torch.tensor([1.0, 0.25]))
    assert loss.item() == pytest.approx(expected)


def test_the_default_objective_tells_visible_from_not():
    assert MASK_OBJECTIVES["bce"](torch.tensor([20.0, -20.0]), torch.tensor([1.0, 0.0])).item() < 1e-6


def test_parts_of_the_loss(golden, network):
    cfg, batch, _ = golden("mdl_dh_4b2")
    cfg.mask_objective = "bce"
    with torch.no_grad():
        output = network("mdl_dh_4b2", cfg)(batch)
    offset = (output["logits"] - batch["target"]).view(-1, 5, 2)[batch["target_mask"].view(-1, 5, 2)[..., 0] > 0]
    assert output["loss_xy"].item() == pytest.approx(offset.square().sum(1).mean().item())
    assert output["loss"].item() == pytest.approx(0.98 * output["loss_xy"].item() + 0.02 * output["loss_mask"].item())
    assert output["n_valid"] == 24 + 4


def test_an_unknown_objective_names_the_nearest(golden):
    cfg, _, _ = golden("mdl_dh_4b2")
    cfg.mask_objective = "batchsoftmax"
    with pytest.raises(UserError, match=r"mask_objective 'batchsoftmax'.*did you mean 'batch_softmax'"):
        Net(cfg)
