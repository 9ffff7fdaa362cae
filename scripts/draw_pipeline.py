"""Draw the picture of the pipeline at the head of README.md (docs/images/pipeline.png).

Each box is a command of the README, each arrow a file that one writes and the next reads.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from lumbar.cli import run
from lumbar.files import atomic_path

DATA, LOCALISE, JOIN, GRADE = "#e8eef7", "#dcefe3", "#f3ead6", "#f6dfe0"


@dataclass(frozen=True)
class Box:
    """One step: where it stands (centre, in drawing units), how wide it is, what it says."""

    x: float
    y: float
    width: float
    colour: str
    title: str
    lines: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Height in drawing units: one line each, and margins."""
        return 0.42 + 0.26 * len(self.lines)

    def draw(self, axes: Axes) -> None:
        """Draw the box and its text."""
        left, bottom = self.x - self.width / 2, self.y - self.height / 2
        axes.add_patch(
            FancyBboxPatch(
                (left, bottom), self.width, self.height,
                boxstyle="round,pad=0.02,rounding_size=0.09", facecolor=self.colour, edgecolor="#5b6470", linewidth=1.1,
            )
        )  # fmt: skip
        top = self.y + self.height / 2 - 0.21
        axes.text(self.x, top, self.title, ha="center", va="center", fontsize=10.5, fontweight="bold", color="#1d2733")
        for number, line in enumerate(self.lines, start=1):
            axes.text(self.x, top - 0.26 * number, line, ha="center", va="center", fontsize=8.6, color="#3a4653")


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
    ("dicom", "prepare"), ("prepare", "folds"), ("folds", "labels"), ("prepare", "ax"), ("labels", "sag"),
    ("sag", "join1"), ("ax", "join1"), ("join1", "z"), ("join1", "join2"), ("z", "join2"), ("join1", "c1"),
    ("join2", "c2"), ("join2", "c3"), ("c1", "mlp"), ("c2", "mlp"), ("c3", "mlp"), ("mlp", "out"),
)  # fmt: skip


def draw_arrow(axes: Axes, start: Box, end: Box) -> None:
    """Draw an arrow from one box's edge to another's: sideways within a row, downwards between rows."""
    if abs(start.y - end.y) < 0.1:
        sign = 1 if end.x > start.x else -1
        tail = (start.x + sign * (start.width / 2 + 0.04), start.y)
        head = (end.x - sign * (end.width / 2 + 0.04), end.y)
    else:
        tail, head = (start.x, start.y - start.height / 2 - 0.04), (end.x, end.y + end.height / 2 + 0.04)
        reach = 0.4 * start.width
        tail = (min(max(end.x, start.x - reach), start.x + reach), tail[1])
    axes.annotate(
        "", xy=head, xytext=tail, arrowprops={"arrowstyle": "-|>", "color": "#5b6470", "lw": 1.2, "mutation_scale": 12}
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Draw and save the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/pipeline.png"), help="default: %(default)s")
    args = parser.parse_args(argv)
    figure, axes = plt.subplots(figsize=(11, 6.9), dpi=110)
    for box in BOXES.values():
        box.draw(axes)
    for start, end in ARROWS:
        draw_arrow(axes, BOXES[start], BOXES[end])
    axes.set(xlim=(-0.1, 12.5), ylim=(-1.1, 6.85), aspect="equal")
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    with atomic_path(args.out) as temporary:
        figure.savefig(temporary, format="png", facecolor="white", pil_kwargs={"optimize": True})
    print(f"{args.out}: drawn")
    return 0


if __name__ == "__main__":
    run(main)
