"""How fast items are made: per config and core, and against decoding every PNG of a sequence in full.

All in one process, without the network, by the processor time that it takes, so that what else the machine does
matters little; volumes have been made and are in the page cache, as from the second epoch on. The comparison reads the
same validation items of cfg_dh_29a2 in turns: through the volumes, and with a store that decodes each slice's whole PNG
and crops after, as the published datasets do.

python benchmarks/bench_loader.py                    (makes a small phantom and faultless localisers' tables for it)
python benchmarks/bench_loader.py --data datamount   (a prepared and aggregated data folder)
"""

from __future__ import annotations

import time
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from common import data_folder, data_parser, use_one_thread

from lumbar.cli import positive_int
from lumbar.config import find_module, load_config
from lumbar.items.augment import build_augmentation

CONFIGS = ("cfg_dh_05b5_loc", "cfg_dh_05b5_loc_test2", "cfg_dh_14p2_locsag", "cfg_dh_14p2_locsag_test",
           "cfg_dh_14s10a_locsag", "cfg_dh_29a2", "cfg_dh_29g", "cfg_dh_12y8")  # fmt: skip
COMPARED = "cfg_dh_29a2"


class WholePngs:
    """A store that decodes the whole PNG of a slice whenever a part of it is asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root

    def series(self, study_id: int, series_id: int) -> WholePngs:
        self.folder = self.root / str(study_id) / str(series_id)
        return self

    def crop(self, instance: int, box: tuple[int, int, int, int]) -> Any:
        x0, y0, x1, y1 = box
        return cv2.imread(str(self.folder / f"{instance}.png"), cv2.IMREAD_GRAYSCALE)[y0:y1, x0:x1]


def make_dataset(config: str, mode: str, data: Path) -> Any:
    cfg = replace(load_config(config), data_dir=str(data), seed=0)
    module = find_module("data", cfg.dataset, ["CustomDataset"], config)
    return module.CustomDataset(pd.read_csv(data / cfg.folds_table), cfg, build_augmentation(cfg, mode), mode)


def rate(dataset: Any, items: np.ndarray, seconds: float) -> float:
    """Items per second over whole rounds of the items, after one round to warm up."""
    for index in items:
        dataset[int(index)]
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for index in items:
            dataset[int(index)]
        done += len(items)
    return done / (time.process_time() - start)


def some_items(dataset: Any, count: int) -> np.ndarray:
    return np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int))


def compare(data: Path, count: int, seconds: float, rounds: int = 3) -> None:
    """Print the ratio, the median of some rounds, and what is left of an item's time."""
    volumes, pngs = (make_dataset(COMPARED, "val", data) for _ in range(2))
    pngs.store = WholePngs(volumes.store.root)
    items = some_items(volumes, count)
    for index in items[:5]:
        for one, other in zip(volumes[int(index)], pngs[int(index)], strict=True):
            assert torch.equal(one["input"], other["input"])
    measured = [
        (rate(volumes, items, seconds), rate(pngs, items, seconds), resizing(volumes, items)) for _ in range(rounds)
    ]
    ratio = float(np.median([fast / slow for fast, slow, _ in measured]))
    share = float(np.median([fast * resized for fast, _, resized in measured]))
    fast, slow, _ = np.median(measured, axis=0)
    slices = [len(row["input"]) for index in items for row in volumes[int(index)]]
    print(
        f"\n{COMPARED} validation items, {len(slices) / len(items):.1f} sequences of {np.mean(slices):.1f} slices each:"
    )
    print(f"  volumes {fast:.1f} items/s, whole PNGs {slow:.1f} items/s: {ratio:.1f} times")
    print(f"  resizing the crops to {volumes.size[0]} px takes {share:.0%} of an item's time: that bounds it now")


def resizing(dataset: Any, items: np.ndarray, repeats: int = 3) -> float:
    """Seconds per item that resizing its crops takes, with the crops in memory."""
    crops: list[np.ndarray] = []

    class Collecting:
        def series(self, study_id: int, series_id: int) -> Any:
            volume = dataset.store.series(study_id, series_id)
            return SimpleNamespace(crop=lambda *which: crops.append(volume.crop(*which).copy()) or crops[-1])

    reader = copy(dataset)
    reader.store = Collecting()
    for index in items:
        reader[int(index)]
    out = np.empty(dataset.size, np.uint8)
    start = time.process_time()
    for _ in range(repeats):
        for crop in crops:
            cv2.resize(crop, dataset.size[::-1], out, interpolation=cv2.INTER_CUBIC)
    return (time.process_time() - start) / repeats / len(items)


def main() -> None:
    arguments = data_parser(__doc__)
    arguments.add_argument("--items", type=positive_int, default=30, metavar="N", help="items read in turns")
    arguments.add_argument("--seconds", type=float, default=2.0, metavar="S", help="per measurement")
    options = arguments.parse_args()
    use_one_thread()
    with data_folder(options) as data:
        print(f"{'items per second and core':<28}{'training':>10}{'validation':>12}{'MB per item':>13}")
        for config in CONFIGS:
            rates = []
            for mode in ("train", "val"):
                dataset = make_dataset(config, mode, data)
                items = some_items(dataset, options.items)
                rates.append(rate(dataset, items, options.seconds))
            read = [dataset[int(index)] for index in items]
            rows = [row for item in read for row in (item if isinstance(item, list) else [item])]
            size = sum(row["input"].numel() for row in rows) / len(items) / 1e6
            print(f"{config:<28}{rates[0]:>10.1f}{rates[1]:>12.1f}{size:>13.2f}", flush=True)
        compare(data, options.items, options.seconds)


if __name__ == "__main__":
    main()
