import pytest
import torch

from lumbar.cli import UserError
from models.mdl_dh_23a import Net


def test_parts_say_what_is_graded_and_not_what_is_built(golden, network):
    cfg, batch, expected = golden("mdl_dh_23a")
    whole = network("mdl_dh_23a", cfg).state_dict()
    cfg.parts = ("ss",)
    net = network("mdl_dh_23a", cfg)
    net.load_state_dict(whole, strict=True)
    axial = batch["condition"] == 2
    output = net({key: value[axial] for key, value in batch.items()})
    assert {key for key in output if key.startswith("loss_")} == {"loss_l_ss", "loss_r_ss"}
    assert output["loss"].item() == pytest.approx((expected["loss_l_ss"] + expected["loss_r_ss"]) / 2, abs=1e-5)


def test_an_unknown_part_names_the_nearest(golden):
    cfg, _, _ = golden("mdl_dh_23a")
    cfg.parts = ("ss", "nfm")
    with pytest.raises(UserError, match=r"parts 'nfm'.*did you mean 'nfn'"):
        Net(cfg)


def test_a_batch_of_one_condition_only(golden, network):
    cfg, batch, _ = golden("mdl_dh_23a")
    axial = batch["condition"] == 2
    batch = {key: value[axial] for key, value in batch.items()}
    net = network("mdl_dh_23a", cfg)
    output = net(batch)
    assert torch.isnan(output["loss_t2"]) and torch.isnan(output["loss_t1_l"])
    assert output["loss"].item() == pytest.approx((output["loss_l_ss"] + output["loss_r_ss"]).item() / 2)
    output["loss"].backward()
    assert net.rnn_sag_t2.weight_ih_l0.grad is None


def test_a_part_with_one_labelled_side_is_that_side(golden, network):
    cfg, batch, expected = golden("mdl_dh_23a")
    batch["target"][batch["condition"] == 0, 1] = -100
    with torch.no_grad():
        output = network("mdl_dh_23a", cfg)(batch)
    nfn, scs = expected["loss_t1_l"], expected["loss_t2"]
    ss = (expected["loss_l_ss"] + expected["loss_r_ss"]) / 2
    assert output["loss"].item() == pytest.approx((nfn + scs + ss) / 3, abs=1e-5)


def test_canal_stenosis_stands_in_both_sides(golden, network):
    cfg, batch, _ = golden("mdl_dh_23a")
    with torch.no_grad():
        logits = network("mdl_dh_23a", cfg)(batch)["logits"]
    canal = batch["condition"] == 1
    assert torch.equal(logits[canal, 0], logits[canal, 1])
    assert not torch.equal(logits[~canal, 0], logits[~canal, 1])
