"""How fast each config steps, and what bounds it: the loader, the network, or the way they are put together.

Three measurements per config: items per second that one core loads, without the network; steps per second of the
network on batches that are already in its memory; steps per second end to end, with loader processes, the first batch
left out. The last column is the third as a share of the smaller of the first two: 100 % means that nothing is lost
between them. A step of an inference config is a forward pass.

python benchmarks/bench_training.py                               (CPU: a small phantom, small images, a tiny network)
python benchmarks/bench_training.py -G 0 --data datamount --set   (GPU: the published settings)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from bench_loader import CONFIGS, rate, some_items
from common import data_folder, data_parser, use_one_thread

from lumbar.cli import cores, positive_int
from lumbar.config import Config, find_module, load_config
from lumbar.engine import optimisation
from lumbar.engine.batches import make_loader, training_batches, validation_batches
from lumbar.engine.ranks import Ranks
from lumbar.items.augment import build_augmentation

SMALL = ("backbone=test_resnet", "pretrained=False", "img_size=64", "hidden_dim=32", "channels_last=True")
RESIDENT = 6
"""Batches that are kept in the network's memory."""


@dataclass(frozen=True)
class Bench:
    """One config with its dataset, and a step of its network."""

    cfg: Config
    data: Any
    dataset: Any
    batches: list[list[int]]
    step: Callable[[dict[str, torch.Tensor]], None]
    ranks: Ranks

    def loader(self) -> float:
        """Items per second of one core."""
        return rate(self.dataset, some_items(self.dataset, 20), 1.0)

    def network(self, steps: int) -> float:
        """Steps per second on batches in the network's memory."""
        resident = [self.to_device(self.collate(batch)) for batch in self.batches[:RESIDENT]]
        return self.timed(islice(cycle(resident), steps + 1))

    def end_to_end(self, steps: int) -> float:
        """Steps per second with loader processes; the same batches again and again."""
        batches = list(islice(cycle(self.batches[:RESIDENT]), steps + 1))
        loader = make_loader(self.cfg, self.dataset, batches, self.data.tr_collate_fn, self.ranks)
        return self.timed(self.to_device(batch) for batch in loader)

    def timed(self, batches: Iterable[dict[str, torch.Tensor]]) -> float:
        """Steps per second over all batches but the first."""
        done, start = -1, 0.0
        for batch in batches:
            self.step(batch)
            done += 1
            if done == 0:
                self.wait()
                start = time.perf_counter()
        self.wait()
        return done / (time.perf_counter() - start)

    def collate(self, batch: list[int]) -> dict[str, torch.Tensor]:
        return self.data.tr_collate_fn([self.dataset[index] for index in batch])

    def to_device(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return self.data.batch_to_device(batch, self.ranks.device)

    def wait(self) -> None:
        """Let the GPU finish."""
        if self.ranks.device.type == "cuda":
            torch.cuda.synchronize()


def make_bench(config: str, data_dir: Path, keys: dict[str, str], device: torch.device, workers: int) -> Bench:
    """Build all that one config's measurements need."""
    keys = {"seed": "0", "num_workers": str(workers), "data_dir": str(data_dir), "drop_last": "False"} | keys
    cfg = load_config(config, keys)
    data = find_module("data", cfg.dataset, ["CustomDataset", "tr_collate_fn", "batch_to_device"], config)
    mode = "train" if cfg.train else "val"
    rows = pd.read_csv(data_dir / cfg.folds_table)
    dataset = data.CustomDataset(rows, cfg, build_augmentation(cfg, mode), mode)
    batches = training_batches(cfg, dataset, 0, 1) if cfg.train else validation_batches(cfg, dataset)
    net = find_module("models", cfg.model, ["Net"], config).Net(cfg).to(device).train(cfg.train)
    return Bench(cfg, data, dataset, batches, make_step(cfg, net, device), Ranks(0, 1, device))


def make_step(cfg: Config, net: torch.nn.Module, device: torch.device) -> Callable[[dict[str, torch.Tensor]], None]:
    """Make what is done with a batch: a training step in the config's precision, or a forward pass."""
    autocast = optimisation.make_autocast(cfg, device)
    if not cfg.train:

        def infer(batch: dict[str, torch.Tensor]) -> None:
            with torch.inference_mode(), autocast:
                net(batch)

        return infer
    optimizer, scaler = optimisation.make_optimizer(cfg, net, device), optimisation.make_scaler(cfg, device)

    def train(batch: dict[str, torch.Tensor]) -> None:
        with autocast:
            loss = net(batch)["loss"]
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return train


def main() -> None:
    arguments = data_parser(__doc__)
    arguments.add_argument("-G", dest="gpu", type=int, metavar="GPU", help="GPU number (default: the CPU)")
    arguments.add_argument("--workers", type=positive_int, default=max(1, cores() - 1), help="loader processes")
    arguments.add_argument("--steps", type=positive_int, default=18, metavar="N", help="steps per measurement")
    arguments.add_argument(
        "--set", nargs="*", default=SMALL, metavar="KEY=VALUE", help=f"keys of all configs (default: {' '.join(SMALL)})"
    )
    options = arguments.parse_args()
    use_one_thread()
    device = torch.device("cpu" if options.gpu is None else f"cuda:{options.gpu}")
    keys = dict(pair.split("=", 1) for pair in options.set)
    print(f"{device}, {options.workers} loader process(es); one thread each")
    print(f"{'':<28}{'batch':>6}{'loader':>14}{'network':>10}{'end to end':>12}{'of the smaller':>16}")
    print(f"{'':<28}{'':>6}{'items/s/core':>14}{'steps/s':>10}{'steps/s':>12}")
    with data_folder(options) as data:
        for config in CONFIGS:
            bench = make_bench(config, data, keys, device, options.workers)
            size = sum(map(len, bench.batches[:RESIDENT])) / len(bench.batches[:RESIDENT])
            items, steps, whole = bench.loader(), bench.network(options.steps), bench.end_to_end(options.steps)
            loader = items * options.workers / size
            bound, name = min((loader, "loader"), (steps, "network"))
            print(f"{config:<28}{size:>6.0f}{items:>14.0f}{steps:>10.2f}{whole:>12.2f}{whole / bound:>9.0%} {name}",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
