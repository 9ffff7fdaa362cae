from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.cfg_mlp import cfg as mlp
from data.ds_oof import CustomDataset, tr_collate_fn
from lumbar.anatomy import TARGETS
from lumbar.cli import UserError
from lumbar.grades.submission import write_predictions


@pytest.fixture
def study_rows() -> pd.DataFrame:
    """Fold file rows, two series of each study."""
    rows = pd.DataFrame({"study_id": [3, 3, 1, 1, 2, 2], "fold": [0, 0, 1, 1, 0, 0]})
    return rows.assign(**dict.fromkeys(TARGETS, "Normal/Mild")).assign(
        spinal_canal_stenosis_l1_l2=["Severe", "Severe", None, None, "Moderate", "Moderate"]
    )


@pytest.fixture
def cfg(tmp_path: Path) -> Any:
    """Two tables, the second lacks study 2; no table knows study 3."""
    thirds = np.full((2, 25, 3), 1 / 3)
    first = write_predictions(tmp_path / "a.csv", [1, 2], thirds)
    second = write_predictions(tmp_path / "b.csv", [1, 9], thirds)
    return replace(mlp, oof_configs=(), oof=(str(first), str(second)), seed=3)


def test_items_are_the_studies_that_any_model_predicted(study_rows, cfg):
    dataset = CustomDataset(study_rows, cfg, None, "val")
    assert dataset.study_id.tolist() == [1, 2]
    item = dataset[1]
    assert item.keys() == {"probabilities", "target", "study_id"}
    assert item["probabilities"].shape == (2, 25, 3)
    assert item["probabilities"].isnan().all(-1).all(-1).tolist() == [False, True]
    assert item["target"][:3].tolist() == [1, 0, 0]
    assert dataset[0]["target"][0] == -100
    batch = tr_collate_fn([dataset[0], dataset[1]])
    assert batch["probabilities"].shape == (2, 2, 25, 3)
    assert batch["study_id"].tolist() == [1, 2]


def test_a_table_about_other_studies_is_named(study_rows, cfg, tmp_path):
    unknown = write_predictions(tmp_path / "c.csv", [77], np.full((1, 25, 3), 1 / 3))
    cfg = replace(cfg, oof=(*cfg.oof, str(unknown)))
    with pytest.raises(UserError, match=r"c\.csv: no row belongs to a labelled target of the 3 training studies"):
        CustomDataset(study_rows, cfg, None, "train")
    assert len(CustomDataset(study_rows, cfg, None, "val")) == 2  # a held-out fold may lack a model
