"""Draw the picture of the pipeline at the head of README.md (docs/images/pipeline.png).

Each box is a command of the README, each arrow a file that one writes and the next reads.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from lumbar.cli import run
from lumbar.files import atomic_path

DATA, LOCALISE, JOIN, GRADE = "#e8eef7", "#dcefe3", "#f3ead6", "#f6dfe0"


class Box(NamedTuple):
    """One step: where it stands (centre, in drawing units), how wide it is, what it says."""

    x: float
    y: float
    width: float
    colour: str
    title: str
    lines: tuple[str, ...]

    @property
    def half_height(self) -> float:
        """Half its height in drawing units: 0.26 a line, and margins."""
        return 0.21 + 0.13 * len(self.lines)


BOXES = {
    "dicom": Box(1.35, 6.1, 2.3, DATA, "DICOM studies", ("Sagittal T1", "Sagittal T2 / STIR", "Axial T2")),
    "prepare": Box(4.45, 6.1, 2.6, DATA, "prepare.py", ("two 8-bit caches: v01, v04", "slice metadata")),
    "folds": Box(7.5, 6.1, 2.4, DATA, "make_folds.py", ("4 folds of whole patients", "25 targets per study")),
    "labels": Box(10.7, 6.1, 2.9, DATA, "make_sag_loc_labels", ("level points on each slice", "outlines or labels")),
    "ax": Box(2.0, 4.25, 3.5, LOCALISE, "axial xy", ("cfg_dh_05b5_loc", "left and right recess per slice")),
    "sag": Box(10.4, 4.25, 3.5, LOCALISE, "sagittal xy", ("cfg_dh_14p2_locsag", "five disc points per slice")),
    "join1": Box(6.2, 4.25, 3.1, JOIN, "aggregate_localisation.py", ("out-of-fold points", "sag_xy/   axial_xy/")),
    "z": Box(6.2, 2.6, 3.5, LOCALISE, "sagittal z", ("cfg_dh_14s10a_locsag", "which slices show each condition")),
    "join2": Box(
        10.4, 2.6, 3.9, JOIN, "aggregate_z_localisation.py",
        ("sagittal level points in patient mm", "-> nearest axial slice per level"),
    ),
    "c1": Box(2.0, 0.95, 3.3, GRADE, "cfg_dh_12y8", ("sagittal crops:", "SCS on T2, NFN on T1")),
    "c2": Box(6.2, 0.95, 3.3, GRADE, "cfg_dh_29a2", ("axial crops:", "SS, left and right")),
    "c3": Box(10.4, 0.95, 3.3, GRADE, "cfg_dh_29g", ("axial crops:", "SS, NFN and SCS heads")),
    "mlp": Box(6.2, -0.55, 3.6, GRADE, "MLP on the metric", ("one per condition group",)),
    "out": Box(10.4, -0.55, 3.6, DATA, "submission + report", ("25 targets x 3 grades per study",)),
}  # fmt: skip

ARROWS = (
    "dicom prepare", "prepare folds", "folds labels", "prepare ax", "labels sag", "sag join1", "ax join1", "join1 z",
    "join1 join2", "z join2", "join1 c1", "join2 c2", "join2 c3", "c1 mlp", "c2 mlp", "c3 mlp", "mlp out",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Draw and save the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/pipeline.png"), help="default: %(default)s")
    args = parser.parse_args(argv)
    figure, axes = plt.subplots(figsize=(11, 6.9), dpi=110)
    for box in BOXES.values():
        corner, style = (box.x - box.width / 2, box.y - box.half_height), "round,pad=0.02,rounding_size=0.09"
        patch = FancyBboxPatch(
            corner,
            box.width,
            2 * box.half_height,
            boxstyle=style,
            facecolor=box.colour,
            edgecolor="#5b6470",
            linewidth=1.1,
        )
        axes.add_patch(patch)
        top = box.y + box.half_height - 0.21
        axes.text(box.x, top, box.title, ha="center", va="center", fontsize=10.5, fontweight="bold", color="#1d2733")
        for number, line in enumerate(box.lines, start=1):
            axes.text(box.x, top - 0.26 * number, line, ha="center", va="center", fontsize=8.6, color="#3a4653")
    for arrow in ARROWS:
        start, end = (BOXES[name] for name in arrow.split())
        if start.y == end.y:  # sideways within a row, downwards between rows
            sign = 1 if end.x > start.x else -1
            tail = (start.x + sign * (start.width / 2 + 0.04), start.y)
            head = (end.x - sign * (end.width / 2 + 0.04), end.y)
        else:
            reach = 0.4 * start.width
            tail = (min(max(end.x, start.x - reach), start.x + reach), start.y - start.half_height - 0.04)
            head = (end.x, end.y + end.half_height + 0.04)
        look = {"arrowstyle": "-|>", "color": "#5b6470", "lw": 1.2, "mutation_scale": 12}
        axes.annotate("", xy=head, xytext=tail, arrowprops=look)
    axes.set(xlim=(-0.1, 12.5), ylim=(-1.1, 6.85), aspect="equal")
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    with atomic_path(args.out) as temporary:
        figure.savefig(temporary, format="png", facecolor="white", pil_kwargs={"optimize": True})
    print(f"{args.out}: drawn")
    return 0


if __name__ == "__main__":
    run(main)
