"""Several networks answer as their average, through the items of training."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lumbar.config import load_config
from lumbar.engine.ranks import Ranks
from lumbar.predict.networks import SPREAD, Ensemble, cache_version
from lumbar.tables import SAGITTAL_XY, TEST_META

CPU = Ranks(0, 1, torch.device("cpu"))


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        assert "target" not in batch
        return {"series_id": batch["series_id"], "logits": self.value + batch["input"]}


class Items:
    """Three items; remembers what they were made for."""

    def __init__(self, series: pd.DataFrame, cfg: Any, aug: Any, mode: str) -> None:
        self.count, self.made_for = len(series), (cfg, mode)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input": torch.full((2,), float(index)), "target": torch.ones(2), "series_id": torch.tensor(index)}


def make(values: list[float], monkeypatch: Any) -> Ensemble:
    cfg = load_config("cfg_dh_05b5_loc", {"meta_table": "somewhere.pkl", "batch_size_val": "2"})
    ensemble = Ensemble(cfg, [Constant(value) for value in values], CPU, 1, None)
    data = SimpleNamespace(
        CustomDataset=Items, val_collate_fn=torch.utils.data.default_collate,
        batch_to_device=lambda batch, device: batch,
    )  # fmt: skip
    monkeypatch.setattr(ensemble, "modules", SimpleNamespace(data=data))
    return ensemble


def test_logits_are_averaged_and_rows_keep_their_order(monkeypatch: Any, tmp_path: Path) -> None:
    output = make([1.0, 4.0], monkeypatch).predict(pd.DataFrame(index=range(3)), tmp_path)
    assert output["series_id"].tolist() == [0, 1, 2]
    assert output["logits"].tolist() == [[2.5, 2.5], [3.5, 3.5], [4.5, 4.5]]
    assert output[SPREAD].tolist() == [[1.5, 1.5]] * 3


def test_one_network_answers_as_it_is(monkeypatch: Any, tmp_path: Path) -> None:
    output = make([1.0], monkeypatch).predict(pd.DataFrame(index=range(1)), tmp_path)
    assert output["logits"].tolist() == [[1, 1]] and output[SPREAD].tolist() == [[0, 0]]


def test_without_items_there_is_no_output(monkeypatch: Any, tmp_path: Path) -> None:
    assert make([1.0], monkeypatch).predict(pd.DataFrame(), tmp_path) == {}


def test_tables_are_those_of_new_studies_and_items_those_of_the_inference_config() -> None:
    cfg = load_config("cfg_dh_14p2_locsag", {"sag_xy_table": "elsewhere.csv", "cache": "train_images_v04"})
    inference = load_config("cfg_dh_14p2_locsag_test")
    made = Ensemble(cfg, [Constant(0.0)], CPU, 1, 5, inference).cfg
    assert made.cache == "test_images_v04" and cache_version(made) == "v04"
    assert cache_version(replace(made, cache="train_images_v01published")) == "v01published"
    assert made.full_test_set and made.dataset == inference.dataset and made.batch_size_val == 5
    assert (made.sag_xy_table, made.meta_table) == (SAGITTAL_XY.path, TEST_META.path)
