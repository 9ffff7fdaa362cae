"""Networks gathered into one flat folder, with an index that names each: what `lumbar.predict.checkpoints` reads."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

from lumbar.cli import UserError
from lumbar.engine import checkpoint
from lumbar.files import MARKER, claim, clear, foreign, write_text
from lumbar.predict.checkpoints import CONFIGS, FORMAT, INDEX, Trained, entry, find_checkpoints, packed_files
from lumbar.predict.networks import load_network

METADATA: Final = "dataset-metadata.json"
PACKED: Final = re.compile(rf"cfg_\w+_fold-?\d+_seed\d+\.pth|{re.escape(METADATA)}")
"""Files of a packing that did not come to its end."""


def pack(
    weights: Path, out: Path, folds: Collection[int] | None, fp16: bool, force: bool, metadata: Mapping[str, Any]
) -> int:
    """Pack all networks of some folds, and print what was done.

    Parameters
    ----------
    weights : Path
        What training left.
    out : Path
        Folder to fill.
    folds : collection of int or None
        Which; None: all.
    fp16 : bool
        16-bit weights.
    force : bool
        Replace what was packed there before.
    metadata : mapping
        Of the Kaggle dataset.

    Returns
    -------
    int
        Exit status: 1 if a checkpoint was left out.

    Raises
    ------
    UserError
        If there is none, or the folder holds something else.
    """
    problems: list[str] = []
    notes: list[str] = []
    found = find_checkpoints(weights, problems)
    chosen = [each for members in found.values() for each in members if folds is None or each.fold in folds]
    if not chosen:
        raise UserError(f"{weights}: no checkpoint of fold {', '.join(map(str, folds or ()))}", status=2)
    _make_room(out, force)
    entries = []
    for trained in tqdm(chosen, "packing", unit="network"):
        try:
            entries.append(_pack(trained, out, fp16, notes))
        except UserError as error:
            problems.append(f"{error}; left out")
    index = {"format": FORMAT, "precision": "fp16" if fp16 else "fp32", "networks": entries}
    write_text(out / METADATA, json.dumps(metadata, indent=1) + "\n")
    write_text(out / INDEX, json.dumps(index, indent=1) + "\n")
    (out / MARKER).unlink()  # from now on the index says what is ours

    for line in (*problems, *notes):
        print(line, file=sys.stderr)
    missing = [name for name in CONFIGS if name not in {each["config"] for each in entries}]
    size = sum(each["bytes"] for each in entries) / 2**20
    print(
        f"{out}: {len(entries)} networks, {size:.0f} MiB"
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
