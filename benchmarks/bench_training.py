"""How fast each config steps, and what bounds it: the loader, the network, or the way they are put together.

Three measurements per config: items per second that one core loads, without the network; steps per second of the
network on batches that are already in its memory; steps per second end to end, with loader processes, the first batch
left out. The last column is the third as a share of the smaller of the first two: 100 % means that nothing is lost
between them. A step of an inference config is a forward pass.

python benchmarks/bench_training.py                               (CPU: a small phantom, small images, a tiny network)
python benchmarks/bench_training.py -G 0 --data datamount --set   (GPU: the published settings)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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


Batch = dict[str, torch.Tensor]


def measure(cfg: Any, device: torch.device, steps: int) -> tuple[float, float, float, float]:
    """Measure one config.

    Returns
    -------
    float
        Items per batch.
    float
        Items per second that one core loads.
    float
        Steps per second on batches in the network's memory.
    float
        Steps per second with loader processes; the same batches again and again.
    """
    data = find_module("data", cfg.dataset, ["CustomDataset", "tr_collate_fn", "batch_to_device"], cfg.name)
    mode = "train" if cfg.train else "val"
    rows = pd.read_csv(Path(cfg.data_dir) / cfg.folds_table)
    dataset = data.CustomDataset(rows, cfg, build_augmentation(cfg, mode), mode)
    batches = (training_batches(cfg, dataset, 0, 1) if cfg.train else validation_batches(cfg, dataset))[:RESIDENT]
    net = find_module("models", cfg.model, ["Net"], cfg.name).Net(cfg).to(device).train(cfg.train)
    step = make_step(cfg, net, device)

    def on_device(batch: list[int]) -> Batch:
        return data.batch_to_device(data.tr_collate_fn([dataset[index] for index in batch]), device)

    resident = map(on_device, batches)
    loader = make_loader(cfg, dataset, list(islice(cycle(batches), steps + 1)), data.tr_collate_fn, Ranks(0, 1, device))
    return (
        sum(map(len, batches)) / len(batches),
        rate(dataset, some_items(dataset, 20), 1.0),
        timed(step, islice(cycle(list(resident)), steps + 1), device),
        timed(step, (data.batch_to_device(batch, device) for batch in loader), device),
    )


def timed(step: Callable[[Batch], None], batches: Iterable[Batch], device: torch.device) -> float:
    """Steps per second over all batches but the first."""
    done, start = -1, 0.0
    for batch in batches:
        step(batch)
        done += 1
        if done == 0:
            wait(device)
            start = time.perf_counter()
    wait(device)
    return done / (time.perf_counter() - start)


def wait(device: torch.device) -> None:
    """Let the GPU finish."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def make_step(cfg: Config, net: torch.nn.Module, device: torch.device) -> Callable[[Batch], None]:
    """Make what is done with a batch: a training step in the config's precision, or a forward pass."""
    autocast = optimisation.make_autocast(cfg, device)
    if not cfg.train:

        def infer(batch: Batch) -> None:
            with torch.inference_mode(), autocast:
                net(batch)

        return infer
    optimizer, scaler = optimisation.make_optimizer(cfg, net, device), optimisation.make_scaler(cfg, device)

    def train(batch: Batch) -> None:
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
        keys = {"seed": "0", "num_workers": str(options.workers), "data_dir": str(data), "drop_last": "False"} | keys
        for config in CONFIGS:
            size, items, steps, whole = measure(load_config(config, keys), device, options.steps)
            loader = items * options.workers / size
            bound, name = min((loader, "loader"), (steps, "network"))
            print(f"{config:<28}{size:>6.0f}{items:>14.0f}{steps:>10.2f}{whole:>12.2f}{whole / bound:>9.0%} {name}",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
