import math

import pytest
import torch

from lumbar.cli import UserError
from lumbar.config import Config
from models.mdl_dh_4b2 import MASK_OBJECTIVES, Net


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("bce", math.log(2)),  # logits 0: every probability is a half
        ("l1", (1 + 0.25) / 2),
    ],
)
def test_mask_objectives_of_a_network_that_knows_nothing(objective, expected):
    loss = MASK_OBJECTIVES[objective](torch.zeros(2), torch.tensor([1.0, 0.25]))
    assert loss.item() == pytest.approx(expected)


def test_the_published_objective_is_the_default_and_learns_the_share_itself():
    assert Config().mask_objective == next(iter(MASK_OBJECTIVES)) == "l1"
    share = torch.tensor([0.99, 0.4, 0.01])
    assert MASK_OBJECTIVES["l1"](share, share) == 0
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
    cfg.mask_objective = "bcee"
    with pytest.raises(UserError, match=r"mask_objective 'bcee'.*did you mean 'bce'"):
        Net(cfg)
