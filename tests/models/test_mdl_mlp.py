from dataclasses import replace

import numpy as np
import pytest
import torch

from configs.cfg_mlp import cfg as mlp
from lumbar.cli import UserError
from lumbar.grades.class_shares import class_shares
from lumbar.grades.combiner import mean_of_models
from lumbar.grades.scoring import score_parts, softmax, total_score
from models.mdl_mlp import Net, log_odds

CFG = replace(mlp, oof_configs=("cfg_dh_12y8", "cfg_dh_29a2", "cfg_dh_29g"), hidden_dim=5)


def batch(seed: int = 0, studies: int = 8, models: int = 3) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 2, (studies, models, 25, 3)))
    probabilities[rng.random(probabilities.shape[:3]) < 0.1] = np.nan
    return {
        "probabilities": torch.from_numpy(probabilities).float(),
        "target": torch.from_numpy(rng.choice([0, 1, 2, -100], (studies, 25))),
        "study_id": torch.arange(studies),
    }


def disturbed(cfg=CFG, seed: int = 0) -> Net:
    """Make a network that has seen a set, with weights of no use."""
    torch.manual_seed(seed)
    net = Net(cfg)
    net.fit(batch(9, 40))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


@pytest.mark.parametrize("views", [("own",), ("conditions", "levels")])
def test_untrained_it_is_the_mean_of_models(views):
    given = batch()
    given["probabilities"][0, :, 3] = torch.nan
    output = Net(replace(CFG, mlp_views=views)).eval()(given)
    answers = output["logits"].exp()
    torch.testing.assert_close(answers, mean_of_models(given["probabilities"]))
    np.testing.assert_allclose(answers[0, 3].detach(), class_shares()[3], rtol=1e-5)
    parts = score_parts(answers.detach(), given["target"])
    assert output["loss"].item() == pytest.approx(total_score(parts), abs=1e-5)
    assert float(output["loss_any_severe"]) == pytest.approx(parts["any_severe"], abs=1e-5)
    assert output["n_valid"] == (given["target"] != -100).sum()
    assert output["study_id"].tolist() == list(range(8))


def test_log_odds_of_the_mean_and_of_each_model_beside_it():
    given = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.45, 0.45], [torch.nan] * 3])[None, :, None].expand(1, 3, 25, 3)
    logits, mean, deviation = log_odds(given)
    torch.testing.assert_close(logits[0, 4].exp(), torch.tensor([0.3, 0.35, 0.35]))
    torch.testing.assert_close(mean[0, 4], torch.tensor([7 / 6, 1.0]).log())
    torch.testing.assert_close(deviation[0, 4].exp(), torch.tensor([3 / 7, 1.0, 27 / 7, 1.0, 1.0, 1.0]))


def test_it_corrects_what_all_models_have_in_common():
    """Models that are too sharp and blind to severe grades, on 300 studies; a model of noise beside them."""
    rng = np.random.default_rng(1)
    truth = softmax(rng.normal(0, 1.5, (400, 25, 3)) + np.array([1.0, 0.0, -0.5]))
    target = (truth.cumsum(-1) < rng.random((400, 25, 1))).sum(-1)
    sharp = softmax(2 * np.log(truth * (1, 2, 4)) - np.array([0, 0, 1.5]))
    models = np.stack(
        [sharp, softmax(np.log(sharp) + rng.normal(0, 0.5, sharp.shape)), softmax(rng.normal(size=sharp.shape))]
    )
    given = {"probabilities": torch.from_numpy(models.swapaxes(0, 1)).float(), "target": torch.from_numpy(target)}
    train, held_out = ({key: value[rows] for key, value in given.items()} for rows in (slice(300), slice(300, None)))
    torch.manual_seed(0)
    net = Net(CFG)
    before = net(held_out)["loss"].item()
    fitted = net.fit(train)
    after, best = net.eval()(held_out), total_score(score_parts(softmax(np.log(truth * (1, 2, 4)))[300:], target[300:]))
    assert fitted["loss"].item() < net(train)["loss"].item() + 1e-6
    assert after["loss"].item() - best < 0.2 * (before - best)


def test_levels_and_sides_share_their_mlp_and_targets_are_independent():
    net = disturbed(replace(CFG, mlp_views=("own",)))
    given = batch(1)
    before = net(given)["logits"]
    left, right = slice(5, 10), slice(10, 15)
    swapped = given["probabilities"].clone()
    swapped[:, :, left], swapped[:, :, right] = given["probabilities"][:, :, right], given["probabilities"][:, :, left]
    after = net({"probabilities": swapped})["logits"]
    known = (~given["probabilities"].isnan().any(-1)).any(1)  # elsewhere the level's own class shares answer
    assert torch.allclose(after[:, left][known[:, right]], before[:, right][known[:, right]], atol=1e-5)
    assert torch.allclose(after[:, 15:], before[:, 15:])
    changed = given["probabilities"].clone()
    changed[:, :, 2] = 1 / 3
    moved = (net({"probabilities": changed})["logits"] != before).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [2]


def test_views_reach_the_other_conditions_and_the_neighbours():
    given = batch(2)
    changed = given["probabilities"].clone()
    changed[:, :, 2] = torch.tensor([0.1, 0.1, 0.8])  # canal, third level
    for view, reached in (("conditions", [2, 7, 12, 17, 22]), ("levels", [1, 2, 3, 7, 12, 17, 22])):
        net = disturbed(replace(CFG, mlp_views=(view,)))
        moved = (net({"probabilities": changed})["logits"] != net(given)["logits"]).any(-1).any(0)
        assert moved.nonzero().flatten().tolist() == reached


def test_members_are_averaged_as_logarithms():
    net, given = disturbed(), batch(3)
    alone = []
    for number in range(3):
        one = Net(replace(CFG, mlp_views=(CFG.mlp_views[number],))).eval()
        for part, members in one.members.items():
            members[0].load_state_dict(net.members[part][number].state_dict())
        alone.append(one(given)["logits"])
    torch.testing.assert_close(net(given)["logits"], torch.stack(alone).mean(0).log_softmax(-1))
    whole = net({"probabilities": given["probabilities"][4:5]})["logits"]
    torch.testing.assert_close(whole[0], net(given)["logits"][4])  # a study does not depend on its batch mates


def test_the_same_seed_gives_the_same_network():
    nets = []
    for _ in range(2):
        torch.manual_seed(4)
        nets.append(Net(CFG))
        nets[-1].fit(batch(5, 60))
    for name, value in nets[0].state_dict().items():
        assert torch.equal(value, nets[1].state_dict()[name]), name


def test_without_labels_it_stays_the_mean():
    given = batch()
    del given["target"]
    assert "loss" not in disturbed()(given)
    given["target"] = torch.full((8, 25), -100)
    net = Net(CFG)
    output = net.fit(given)
    assert output["n_valid"] == 0 and output["loss"] == 0
    torch.testing.assert_close(output["logits"].exp(), mean_of_models(given["probabilities"]))


def test_extreme_inputs_stay_finite():
    given = batch(6, 30)
    given["probabilities"][:] = torch.tensor([1.0, 0.0, 0.0])
    given["target"][:] = 2
    net = Net(CFG)
    output = net.fit(given)
    assert output["loss"].isfinite()
    assert all(value.isfinite().all() for value in net.state_dict().values())
    given["probabilities"][:] = torch.tensor([0.0, 0.0, 1.0])
    assert net(given)["logits"].isfinite().all()


def test_without_any_view_it_says_so():
    with pytest.raises(UserError, match="config key 'mlp_views'"):
        Net(replace(CFG, mlp_views=()))
