"""What the ensemble gains over the mean of models, and what it costs: on sets that look like the real tables.

Each set is drawn from a seed (`out_of_fold_sets`); its five folds are scored by MLPs that were trained on the others.
The second gain is that where one model, each in turn, is missing from the studies that are scored, over the mean of the
others. Then the whole command, `scripts/ensemble.py`, on the first set.

python benchmarks/bench_combiner.py                              (20 sets: 5 minutes on one core)
python benchmarks/bench_combiner.py --sets 3 --views own,levels
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import run_script, use_one_thread
from out_of_fold_sets import STUDIES, OutOfFoldSet
from torch import Tensor, nn

from lumbar.cli import parser, positive_int
from lumbar.config import Config, load_config
from lumbar.grades.combiner import mean_of_models
from lumbar.grades.scoring import all_scores
from models.mdl_mlp import Net

Batch = Mapping[str, Tensor]


def train(cfg: Config, given: Batch, fold: np.ndarray) -> list[nn.Module]:
    """Train an MLP without each fold."""
    networks = []
    for number in range(fold.max() + 1):
        torch.manual_seed(0)
        network, rows = Net(cfg), torch.from_numpy(fold != number)
        network.fit({key: value[rows] for key, value in given.items()})
        networks.append(network.eval())
    return networks


@torch.inference_mode()
def gains(networks: Sequence[nn.Module], probabilities: Tensor, given: Batch, fold: np.ndarray) -> dict[str, float]:
    """Compare answers for each fold's studies with the mean of models: relative change of the score and its parts."""
    answers = torch.empty_like(probabilities[:, 0])
    for number, network in enumerate(networks):
        rows = torch.from_numpy(fold == number)
        answers[rows] = network({"probabilities": probabilities[rows]})["logits"].softmax(-1)
    before = all_scores(mean_of_models(probabilities), given["target"])
    after = all_scores(answers, given["target"])
    return {"mean": before["score"]} | {part: after[part] / before[part] - 1 for part in before}


def measure(cfg: Config, seed: int, studies: int) -> tuple[float, float]:
    """Measure one set, print it, and return the gain with all models and with one missing."""
    drawn = OutOfFoldSet(seed, studies)
    probabilities = np.stack(list(drawn.tables.values()), 1)
    given = {"probabilities": torch.from_numpy(probabilities).float(), "target": torch.from_numpy(drawn.grades)}
    cfg = replace(cfg, oof_configs=(), oof=tuple(drawn.tables))
    start = time.process_time()
    networks = train(cfg, given, drawn.fold)
    seconds = time.process_time() - start
    found = gains(networks, given["probabilities"], given, drawn.fold)
    missing = []
    for model in range(probabilities.shape[1]):
        rest = given["probabilities"].clone()
        rest[:, model] = torch.nan
        missing.append(gains(networks, rest, given, drawn.fold)["score"])
    parts = ", ".join(f"{part} {found[part]:+.2%}" for part in found if part not in ("mean", "score"))
    print(
        f"set {seed}: mean of models {found['mean']:.4f}, MLP {found['score']:+.2%} ({parts}); one model missing "
        f"{np.mean(missing):+.2%}; {seconds:.1f} s",
        flush=True,
    )
    return found["score"], float(np.mean(missing))


def command_seconds(seed: int, studies: int) -> float:
    """Measure the processor seconds of the whole command on a set."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = OutOfFoldSet(seed, studies).write(folder)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        options = (
            "--labels",
            folder / "train.csv",
            "--folds",
            folder / "folds.csv",
            "--weights_dir",
            folder / "weights",
        )
        print(run_script("ensemble.py", "--oof", *tables, *options))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    arguments = parser(__doc__ or "", data=False, workers=False)
    arguments.add_argument("--sets", type=positive_int, default=20, metavar="N", help="sets (default: %(default)s)")
    arguments.add_argument("--studies", type=positive_int, default=STUDIES, help="of a set (default: %(default)s)")
    arguments.add_argument("--views", metavar="A,B", help="views of the MLPs (default: those of cfg_mlp)")
    options = arguments.parse_args()
    use_one_thread()
    cfg = load_config("cfg_mlp", {"mlp_views": options.views} if options.views else {})
    columns = np.array([measure(cfg, seed, options.studies) for seed in range(options.sets)]).T
    for title, values in zip(("all models", "one model missing"), columns, strict=True):
        error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        print(
            f"{title}: {values.mean():+.2%} of the mean's score, standard error {error:.2%}, worst {values.max():+.2%}"
        )
    print(f"the whole command: {command_seconds(0, options.studies):.1f} s of processor time")


if __name__ == "__main__":
    main()
