from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from configs.cfg_mlp import cfg as mlp
from lumbar.grades.scoring import softmax
from metrics import metric_dh_02, metric_mlp


def test_before_and_after():
    rng = np.random.default_rng(0)
    output = {
        "logits": torch.from_numpy(rng.normal(size=(20, 25, 3))),
        "target": torch.from_numpy(rng.integers(0, 3, (20, 25))),
        "probabilities": torch.from_numpy(softmax(rng.normal(size=(20, 2, 25, 3)))),
    }
    cfg = replace(mlp, oof_configs=("cfg_dh_29a2",), oof=("dir/other.csv",))
    scores = metric_mlp.calc_metric(cfg, output, pd.DataFrame())
    after = metric_dh_02.calc_metric(cfg, output, pd.DataFrame())
    assert {key: scores[key] for key in after} == after
    before = output | {"logits": output["probabilities"].mean(1).log()}
    assert scores["mean_score"] == pytest.approx(metric_dh_02.calc_metric(cfg, before, pd.DataFrame())["score"])
    alone = output | {"logits": output["probabilities"][:, 1].log()}
    assert scores["other_ss"] == pytest.approx(metric_dh_02.calc_metric(cfg, alone, pd.DataFrame())["ss"])
    names = {key.rsplit("_", 1)[0] for key in scores.keys() - after.keys() if key.endswith("_score")}
    assert names == {"mean", "cfg_dh_29a2", "other"}
