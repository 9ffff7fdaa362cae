from dataclasses import replace

import pytest

from lumbar.config import find_module, load_config
from lumbar.items.augment import build_augmentation


@pytest.fixture
def make_dataset(mini, mini_folds):
    """``make_dataset("cfg_dh_29a2", "val", df=..., key=value)``: the config's dataset over the tiny competition."""

    def make(config, mode, df=None, **changes):
        cfg = replace(load_config(config), **{"data_dir": str(mini / "datamount"), "img_size": 64, "seed": 1} | changes)
        module = find_module("data", cfg.dataset, ["CustomDataset"], "the test")
        rows = mini_folds if df is None else df
        return module.CustomDataset(rows, cfg, build_augmentation(cfg, mode), mode)

    return make
