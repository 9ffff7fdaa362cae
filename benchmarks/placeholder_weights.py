"""Weights of networks that were never trained, to measure and test predict.py without training.

The localisers answer with constants, the usual places of the levels, and claim to be sure; the graders are random. So
every stage has as much to do as with trained networks, and the answers are worthless.

python benchmarks/placeholder_weights.py weights_placeholder --backbone test_efficientnet.r160_in1k --img_size 64
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from lumbar.config import find_module, load_config
from lumbar.engine import checkpoint
from lumbar.engine.experiment import output_folder
from lumbar.engine.records import write_snapshot
from lumbar.engine.runs import Run
from lumbar.predict.checkpoints import CONFIGS
from lumbar.roles import AXIAL, MLP, SAGITTAL, SLICES

LEVELS_XY = tuple(value for level in range(5) for value in (0.5, 0.2 + 0.14 * level))
CONSTANTS = {AXIAL: (0.548, 0.527, 0.454, 0.527), SAGITTAL: LEVELS_XY, SLICES: (0.5, 0.5, 0.5)}
"""Outputs of the localisers: points as shares of width and height; foramina and canals per slice."""

SURE = 5.0
"""Logit of the sagittal localiser's visibility."""


def write_weights(
    folder: Path, overrides: dict[str, str], folds: Sequence[int] = (0,), configs: Sequence[str] = CONFIGS
) -> None:
    """Write one checkpoint per config and fold, with the record of its config beside it."""
    for name in configs:
        for fold in folds:
            changes = overrides if name != MLP else {}
            cfg = load_config(name, {**changes, "weights_dir": str(folder), "fold": str(fold), "seed": str(fold + 1)})
            torch.manual_seed(fold + 1)
            with warnings.catch_warnings(action="ignore"):
                network = find_module("models", cfg.model, ["Net"], name).Net(
                    dataclasses.replace(cfg, pretrained=False)
                )
            if name in CONSTANTS:
                with torch.no_grad():
                    network.head.weight.zero_()
                    network.head.bias.copy_(torch.tensor(CONSTANTS[name]))
                if name == SAGITTAL:
                    torch.nn.init.constant_(network.head_mask.bias, SURE)
                    torch.nn.init.zeros_(network.head_mask.weight)
            path = Run(output_folder(cfg), cfg.seed).checkpoint
            checkpoint.save(path, {"model": network.state_dict()})
            write_snapshot(cfg, path.parent, 1)


if __name__ == "__main__":
    words = sys.argv[2:]
    write_weights(Path(sys.argv[1]), dict(zip((key[2:] for key in words[::2]), words[1::2], strict=True)))
