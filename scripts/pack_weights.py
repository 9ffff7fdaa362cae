"""Gather the trained networks that predict.py needs into one flat folder, ready to become a Kaggle dataset.

python scripts/pack_weights.py --weights weights --out packed --fp16 --id <your Kaggle name>/lumbar-weights

Every fold and seed of the three localisers, the three classifiers and the MLP: weights alone, without optimiser states,
with an index that names each with the values of its config and its SHA-256. `predict.py --weights packed` takes the
folder and refuses it if a byte has changed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

from lumbar import cli
from lumbar.cli import UserError, run
from lumbar.engine import checkpoint
from lumbar.files import MARKER, check_apart, claim, clear, foreign, write_text
from lumbar.predict.checkpoints import CONFIGS, FORMAT, INDEX, Trained, entry, find_checkpoints, packed_files
from lumbar.predict.networks import load_network

METADATA: Final = "dataset-metadata.json"
PACKED: Final = re.compile(rf"cfg_\w+_fold-?\d+_seed\d+\.pth|{re.escape(METADATA)}")
"""Files of a packing that did not come to its end."""

TITLE: Final = "Lumbar spine grading: trained networks"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, 1 if a checkpoint was left out, or a `UserError`."""
    parser = cli.parser(__doc__ or "", data=False, workers=False)
    parser.add_argument(
        "--weights", type=Path, default=Path("weights"), metavar="DIR", help="what train.py left (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to fill: new, empty or unfinished"
    )
    parser.add_argument("--folds", type=int, nargs="+", metavar="K", help="only these folds; -1: trained on everyone")
    parser.add_argument("--fp16", action="store_true", help="half the size: 16-bit weights (predictions change little)")
    parser.add_argument("--force", action="store_true", help="replace what was packed there before")
    parser.add_argument(
        "--id", default="INSERT_KAGGLE_NAME/lumbar-weights", help="of the Kaggle dataset: <name>/<slug>"
    )
    parser.add_argument("--title", default=TITLE, help="of the Kaggle dataset, 6 to 50 characters")
    parser.add_argument("--license", default="CC0-1.0", help="of the Kaggle dataset (default: %(default)s)")
    options = parser.parse_args(argv)

    check_apart({"--out": options.out}, {"--weights": options.weights})
    problems: list[str] = []
    notes: list[str] = []
    found = find_checkpoints(options.weights, problems)
    chosen = [
        each for members in found.values() for each in members if options.folds is None or each.fold in options.folds
    ]
    if not chosen:
        raise UserError(f"{options.weights}: no checkpoint of fold {', '.join(map(str, options.folds))}", status=2)
    _make_room(options.out, options.force)
    entries = []
    for trained in tqdm(chosen, "packing", unit="network"):
        try:
            entries.append(_pack(trained, options.out, options.fp16, notes))
        except UserError as error:
            problems.append(f"{error}; left out")
    index = {"format": FORMAT, "precision": "fp16" if options.fp16 else "fp32", "networks": entries}
    metadata = {"title": options.title, "id": options.id, "licenses": [{"name": options.license}]}
    write_text(options.out / METADATA, json.dumps(metadata, indent=1) + "\n")
    write_text(options.out / INDEX, json.dumps(index, indent=1) + "\n")
    (options.out / MARKER).unlink()  # from now on the index says what is ours

    for line in (*problems, *notes):
        print(line, file=sys.stderr)
    missing = [name for name in CONFIGS if name not in {each["config"] for each in entries}]
    size = sum(each["bytes"] for each in entries) / 2**20
    print(
        f"{options.out}: {len(entries)} networks, {size:.0f} MiB"
        + (f"; none of {', '.join(missing)}" if missing else "")
        + (f"; {len(problems)} checkpoint{'s' if len(problems) > 1 else ''} left out" if problems else "")
    )
    return int(bool(problems))


def _make_room(out: Path, force: bool) -> None:
    """Make the folder, without what an earlier run packed into it or left unfinished.

    Raises
    ------
    UserError
        If it holds something else, or is complete and `force` is not given.
    """
    if (out / INDEX).is_file():
        other = foreign(out, re.compile("|".join(map(re.escape, [*packed_files(out), INDEX, METADATA]))))
        if other is not None:
            raise UserError(f"{other}: was not packed by this command; choose another --out", status=2)
        if not force:
            raise UserError(f"{out}: is packed already; replace it with --force", status=2)
        (out / MARKER).touch()
        (out / INDEX).unlink()  # without it nothing is used
    if (out / MARKER).is_file():
        clear(out, PACKED, "choose another --out")
    claim(out, "choose another --out")


def _pack(trained: Trained, out: Path, fp16: bool, notes: list[str]) -> dict[str, Any]:
    """Write one network's weights; return its entry in the index."""
    weights = load_network(trained, notes).state_dict()
    path = out / f"{trained.cfg.name}_fold{trained.fold}_seed{trained.seed}.pth"
    checkpoint.save(path, {"model": halved(weights) if fp16 else dict(weights)})
    return entry(trained, path)


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn matrices and convolution kernels into 16-bit floats, as far as their values fit.

    Vectors (biases, batch statistics) weigh nothing in a file and a lot in the result: they stay as they are.
    """
    result = {}
    for name, tensor in weights.items():
        half = tensor.half() if tensor.dtype == torch.float32 and tensor.ndim > 1 else tensor
        result[name] = half if half.isfinite().all() else tensor
    return result


if __name__ == "__main__":
    run(main)
