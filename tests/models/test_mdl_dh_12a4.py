import numpy as np
import pytest
import torch

from models.mdl_dh_12a4 import sinusoids


def test_position_code():
    code = sinusoids(161, 32)
    for p, j in ((0, 0), (0, 1), (1, 0), (160, 31), (80, 16)):
        angle = p / 10000 ** (2 * (j // 2) / 32)
        assert code[p, j].item() == pytest.approx(np.cos(angle) if j % 2 else np.sin(angle), abs=1e-5)


def test_the_position_code_is_trained(golden, network):
    cfg, batch, _ = golden("mdl_dh_12a4")
    net = network("mdl_dh_12a4", cfg).train()
    net(batch)["loss"].backward()
    assert net.pos_emb.weight.grad.abs().sum() > 0


def test_three_readers_count_the_same_and_one_without_labels_not_at_all(golden, network):
    cfg, batch, expected = golden("mdl_dh_12a4")
    batch["target"][batch["condition"] == 0, 0] = -100  # no left foramen
    with torch.no_grad():
        output = network("mdl_dh_12a4", cfg)(batch)
    assert torch.isnan(output["loss_t1_l"])
    assert output["loss"].item() == pytest.approx((expected["loss_t1_r"] + expected["loss_t2"]) / 2, abs=1e-5)
    assert output["n_valid"] == (batch["target"][batch["condition"] == 0, 1] >= 0).sum() + 3
