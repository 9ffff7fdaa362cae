"""A toy experiment for the training loop: a linear network on vectors, without images or tables."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from lumbar.config import load_config
from lumbar.engine import experiment
from lumbar.engine.ranks import Ranks
from lumbar.engine.signals import StopRequest
from lumbar.engine.trainer import Trainer

FEATURES = 3


class ToyDataset:
    """Items of noise that depends on seed, epoch and index; the target is the sum of the features."""

    def __init__(self, cfg: Any, count: int, mode: str) -> None:
        self.cfg, self.count, self.mode, self.epoch = cfg, count, mode, 0
        self.target = {index: torch.tensor(float(index)) for index in range(count)}
        self.sample_weights = np.arange(count)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.cfg.seed, self.epoch if self.mode == "train" else 0, index])
        features = torch.tensor(rng.standard_normal(FEATURES), dtype=torch.float32)
        return {"input": features, "target": self.target[index], "series_id": torch.tensor(1000 + index)}


class ToyNet(nn.Module):
    """Batch normalisation and a line; targets of -100 are missing."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.bn, self.line = nn.BatchNorm1d(FEATURES), nn.Linear(FEATURES, 1)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        logits = self.line(self.bn(batch["input"]))[:, 0]
        known = batch["target"] != -100
        loss = ((logits - batch["target"]) * known).square().sum() / known.sum().clamp(min=1)
        output = {"loss": loss, "n_valid": known.sum()}
        return output if self.training else output | {"logits": logits, "series_id": batch["series_id"]}


def calc_metric(cfg: Any, results: dict[str, Tensor], patients: pd.DataFrame, pre: str) -> dict[str, float]:
    return {"score": results["logits"].abs().mean().item(), "nothing": float("nan")}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    """``toy(count=..., change=..., **keys)`` makes a trainer; `change` may alter the training items."""
    data = SimpleNamespace(
        tr_collate_fn=default_collate, val_collate_fn=default_collate, batch_to_device=lambda batch, device: batch
    )
    modules: Any = SimpleNamespace(
        data=data,
        model=SimpleNamespace(Net=ToyNet),
        postprocess=SimpleNamespace(post_process_pipeline=lambda cfg, val_data, patients: val_data),
        metric=SimpleNamespace(calc_metric=calc_metric),
    )
    monkeypatch.chdir(tmp_path)
    patients = pd.DataFrame({"study_id": [1]})
    monkeypatch.setattr(experiment, "split_patients", lambda cfg: (patients, patients))

    def make(count: int = 8, change: Callable[[ToyDataset], Any] = lambda dataset: None, **keys: Any) -> Trainer:
        def make_dataset(cfg: Any, modules: Any, patients: Any, mode: str) -> ToyDataset:
            dataset = ToyDataset(cfg, count, mode)
            if mode == "train":
                change(dataset)
            return dataset

        monkeypatch.setattr(experiment, "make_dataset", make_dataset)
        text = {"seed": 1, "epochs": 2, "batch_size": 2, "num_workers": 0} | keys
        cfg = load_config("cfg_dh_05b5_loc", {key: str(value) for key, value in text.items()})
        return Trainer(cfg, modules, Ranks(0, 1, torch.device("cpu")), StopRequest())

    return make
