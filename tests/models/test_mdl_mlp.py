import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from configs.cfg_mlp import cfg as mlp
from lumbar.grades.class_shares import class_shares
from lumbar.grades.combiner import mean_of_models
from lumbar.grades.scoring import score_parts, softmax, total_score
from models.mdl_mlp import Net, change, inequality

CFG = replace(mlp, oof_configs=("cfg_dh_12y8", "cfg_dh_29a2", "cfg_dh_29g"), mlp_members=3, hidden_dim=5)


def batch(seed: int = 0, studies: int = 8, models: int = 3) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 2, (studies, models, 25, 3)))
    probabilities[rng.random(probabilities.shape[:3]) < 0.1] = np.nan
    return {
        "probabilities": torch.from_numpy(probabilities).float(),
        "target": torch.from_numpy(rng.choice([0, 1, 2, -100], (studies, 25))),
        "study_id": torch.arange(studies),
        "n_studies": torch.full((studies,), studies),
    }


def disturbed(cfg=CFG, seed: int = 0) -> Net:
    torch.manual_seed(seed)
    net = Net(cfg)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


@pytest.mark.parametrize("context", [{}, {"mlp_levels": True}, {"mlp_conditions": True, "mlp_levels": True}])
def test_untrained_it_is_the_mean_of_models(context):
    given = batch()
    given["probabilities"][0, :, 3] = torch.nan
    output = Net(replace(CFG, **context)).eval()(given)
    answers = output["logits"].exp()
    torch.testing.assert_close(answers, mean_of_models(given["probabilities"]))
    np.testing.assert_allclose(answers[0, 3].detach(), class_shares()[3], rtol=1e-5)
    parts = score_parts(answers.detach(), given["target"])
    assert output["loss"].item() == pytest.approx(total_score(parts), abs=1e-5)
    assert float(output["loss_any_severe"]) == pytest.approx(parts["any_severe"], abs=1e-5)
    assert output["n_valid"] == (given["target"] != -100).sum()
    assert output["study_id"].tolist() == list(range(8))


def test_members_start_alike_and_learn_apart():
    torch.manual_seed(0)
    net = Net(CFG)
    assert not torch.equal(net.combinations["scs"].hidden[0], net.combinations["scs"].hidden[1])
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        net(batch())["loss"].backward()
        optimizer.step()
    mean, correction = net.combine(batch()["probabilities"])
    assert correction.shape == mean.shape == (3, 8, 25, 3)
    assert not torch.allclose(correction[0], correction[1])


def test_training_lowers_the_loss():
    net = Net(replace(CFG, mlp_prior=0.0))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        output = net(batch())
        losses.append(output["loss"].item())
        optimizer.zero_grad()
        output["loss"].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.05


def test_levels_and_sides_share_their_mlp_and_targets_are_independent():
    net = disturbed()
    given = batch(1)
    before = net(given)["logits"]
    left, right = slice(5, 10), slice(10, 15)
    swapped = given["probabilities"].clone()
    swapped[:, :, left], swapped[:, :, right] = given["probabilities"][:, :, right], given["probabilities"][:, :, left]
    after = net({"probabilities": swapped})["logits"]
    known = (~given["probabilities"].isnan().any(-1)).any(1)  # elsewhere the level's own class shares answer
    assert torch.allclose(after[:, left][known[:, right]], before[:, right][known[:, right]], atol=1e-6)
    assert torch.allclose(after[:, 15:], before[:, 15:])
    changed = given["probabilities"].clone()
    changed[:, :, 2] = 1 / 3
    moved = (net({"probabilities": changed})["logits"] != before).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [2]


def test_context_reaches_the_neighbours_and_the_other_conditions():
    given = batch(2)
    changed = given["probabilities"].clone()
    changed[:, :, 2] = torch.tensor([0.1, 0.1, 0.8])  # canal, third level
    for context, reached in (
        ({"mlp_levels": True}, [1, 2, 3]),
        ({"mlp_conditions": True}, [2, 7, 12, 17, 22]),
        ({"mlp_levels": True, "mlp_conditions": True}, [1, 2, 3, 7, 12, 17, 22]),
    ):
        net = disturbed(replace(CFG, **context))
        moved = (net({"probabilities": changed})["logits"] != net(given)["logits"]).any(-1).any(0)
        assert moved.nonzero().flatten().tolist() == reached


def test_a_study_does_not_depend_on_its_batch_mates():
    net, given = disturbed(), batch(3)
    whole = net({"probabilities": given["probabilities"]})["logits"]
    alone = net({"probabilities": given["probabilities"][4:5]})["logits"]
    torch.testing.assert_close(alone[0], whole[4])


def test_the_prior_counts_as_so_many_studies():
    given = batch()
    net = disturbed().train()
    without = disturbed(replace(CFG, mlp_prior=0.0)).train()(given)
    output = net(given)
    mean, correction = net.combine(given["probabilities"])
    unequal = torch.stack([inequality(c.weight()) for c in net.combinations.values()]).mean()
    expected = 300 / 8 * (change(mean.detach(), correction) + unequal / 50)
    torch.testing.assert_close(output["loss_prior"], expected.detach())
    torch.testing.assert_close(output["loss"], without["loss"] + expected)
    assert without["loss_prior"] == 0
    assert change(mean, torch.zeros_like(correction)).item() == pytest.approx(0, abs=1e-6)
    assert change(mean, correction) > 0


def test_inequality_of_weights():
    equal, one = torch.full((2, 3), 1 / 3).log(), torch.tensor([[1 - 2e-8, 1e-8, 1e-8]]).log()
    assert inequality(equal).item() == pytest.approx(0, abs=1e-6)
    assert inequality(one).item() == pytest.approx(math.log(3), abs=1e-5)


def test_a_model_can_be_weighed_out():
    net, given = Net(CFG).eval(), batch()
    given["probabilities"] = given["probabilities"].nan_to_num(1 / 3)
    for combination in net.combinations.values():
        combination.log_weight.data[:, 1] = -3.0
    answers = net({"probabilities": given["probabilities"]})["logits"].exp()
    torch.testing.assert_close(answers, given["probabilities"][:, [0, 2]].mean(1))
    alone = given["probabilities"].clone()
    alone[:, [0, 2]] = torch.nan
    torch.testing.assert_close(net({"probabilities": alone})["logits"].exp(), alone[:, 1])


def test_without_labels():
    given = batch()
    del given["target"]
    assert "loss" not in disturbed()(given)
    given["target"] = torch.full((8, 25), -100)
    output = Net(CFG).train()(given)
    assert output["n_valid"] == 0
    assert output["loss"].item() == pytest.approx(0, abs=1e-6)
    output["loss"].backward()


def test_extreme_inputs_stay_finite():
    given = batch()
    given["probabilities"][:] = torch.tensor([1.0, 0.0, 0.0])
    given["target"][:] = 2
    net = disturbed().train()
    output = net(given)
    output["loss"].backward()
    assert output["loss"].isfinite()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())
