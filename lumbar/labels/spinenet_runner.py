"""Runs SpineNet for `lumbar.labels.spinenet`, as a separate program in SpineNet's Python (3.9 to 3.11).

Nothing here may import lumbar, nor use syntax newer than Python 3.9. Arguments: device, threads. On stdin, per series:
one JSON line ``{"shape": [height, width, slices], "spacing": [rows, columns]}``, then the volume as float32. On stdout,
one JSON line first (``{"device": ...}`` or ``{"error": ..., "kind": "package" | "weights"}``) and one per series
(``{"outlines": [...]}`` or ``{"error": ...}``). Whatever SpineNet itself prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

NETWORKS = ("detect-vfr", "appearance", "context", "grading")
"""Folders of the weights that SpineNet loads."""


def main() -> None:
    """Answer until stdin ends."""
    del sys.path[0]  # this folder, whose spinenet.py is another
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w")
    # SpineNet prints, and drops into a debugger on some errors: keep it away from our pipes.
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        import numpy as np
        import spinenet
        import torch
    except Exception as error:  # a broken environment can raise anything on import
        return answer({"kind": "package", "error": _text(error)})
    torch.set_num_threads(int(sys.argv[2]))
    device = sys.argv[1]
    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        network = _load(spinenet, device)
    except Exception as error:  # no network, no disk, damaged files, no such device
        return answer({"kind": "weights", "error": _text(error)})
    answer({"device": device})
    for line in iter(requests.readline, b""):
        header = json.loads(line)
        size = int(np.prod(header["shape"]))
        volume = np.frombuffer(requests.read(4 * size), np.float32).reshape(header["shape"])
        try:
            answer({"outlines": _detect(network, volume, header["spacing"])})
        except Exception as error:  # one series must not cost the others
            answer({"error": _text(error)})


def _load(spinenet: Any, device: str) -> Any:
    """Load the four networks; download their weights if there are none."""
    folder = Path(spinenet.__file__).parent / "weights"
    present = [name for name in NETWORKS if any(path.stat().st_size for path in (folder / name).glob("*.pt"))]
    if not present:
        existed = folder.exists()
        try:
            spinenet.download_weights(verbose=False)
        except BaseException:
            if not existed:
                shutil.rmtree(folder, ignore_errors=True)  # spinenet leaves parts of files under their final names
            raise
    elif len(present) < len(NETWORKS):
        raise RuntimeError(f"{folder} is incomplete; delete it, and it is downloaded again")
    try:
        return spinenet.SpineNet(device=device, verbose=False)
    except Exception as error:
        raise RuntimeError(
            f"{folder} cannot be loaded on {device} ({_text(error)}); if it is damaged, delete it"
        ) from error


def _detect(network: Any, volume: Any, spacing: list[float]) -> list[dict[str, Any]]:
    """Outline the vertebrae of one volume, shape (height, width, slices)."""
    try:
        found = network.detect_vb(volume.copy(), spacing)
    except (RuntimeError, ValueError) as error:
        if "non-empty" in str(error):  # spinenet 2.1 concatenates an empty list where it detects no vertebra
            return []
        raise
    return [
        {
            "predicted_label": str(each["predicted_label"]),
            "slice_nos": [int(number) for number in each["slice_nos"]],
            "polys": [[[float(x), float(y)] for x, y in corners] for corners in each["polys"]],
        }
        for each in found
    ]


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


if __name__ == "__main__":
    main()
