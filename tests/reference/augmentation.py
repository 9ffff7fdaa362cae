"""Measure what the published training augmentation draws, with the release of albumentations that it was made with.

    python -m venv /tmp/published && /tmp/published/bin/pip install \
        albumentations==1.4.11 albucore==0.0.16 opencv-python-headless "numpy<2"
    /tmp/published/bin/python tests/reference/augmentation.py > tests/reference/augmentation.json

The transforms and their values are those of the published configs (the axial localiser at 384 px, the sagittal ones at
512, the classifiers at 384). `tests/lumbar/items/test_augment.py` compares ours with these numbers.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import albumentations as A
import numpy as np

DRAWS = 20_000
PICTURES = 2_000
POINTS = {
    "localiser_axial": [[0.548, 0.527], [0.454, 0.527]],
    "localiser_sagittal": [[0.45, 0.25], [0.42, 0.36], [0.41, 0.47], [0.43, 0.58], [0.48, 0.68]],
    "localiser_sagittal, no label": [[0.5, 0.5]] * 5,
    "classifier": [],
}
"""Key points, shares of the image: the mean predicted axial points, a typical lumbar curve, and the middle, which
stands for points without a label."""

SIZES = {"localiser_axial": 384, "localiser_sagittal": 512, "localiser_sagittal, no label": 512, "classifier": 384}


def pipeline(name: str) -> Any:
    """Build the random part of a published recipe."""
    size, axial = SIZES[name], name == "localiser_axial"
    shift = {"shift_limit_x": 0.2, "shift_limit_y": 0.0} if name == "classifier" else {"shift_limit": 0.2}
    turn = {"localiser_axial": 25, "classifier": 30}.get(name, 20)
    light = 0.1 if name == "classifier" else 0.2
    count, sides = ((1, 1), (192, 192)) if axial else ((10, 30), (int(0.01 * size), int(0.08 * size)))
    transforms = [
        A.ShiftScaleRotate(scale_limit=0.2, rotate_limit=turn, p=0.7, **shift),
        A.RandomBrightnessContrast(brightness_limit=light, contrast_limit=light, p=0.75),
        A.CoarseDropout(num_holes_range=count, hole_height_range=sides, hole_width_range=sides, p=0.8),
    ]
    if not axial:
        transforms.append(A.RandomCrop(height=size, width=3 * size // 4))
    return A.ReplayCompose(transforms, keypoint_params=A.KeypointParams("xy"))


def bright_picture(size: int) -> np.ndarray:
    """Make a picture without black: grey values 60 to 189 along one diagonal."""
    y, x = np.mgrid[:size, :size]
    return (60 + 130 * (x + y) // (2 * size)).astype(np.uint8)


def moments(values: list[Any]) -> dict[str, Any]:
    """Give the number of draws; mean, standard deviation and correlations of what was drawn in them."""
    array = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    varying = array[:, array.std(0) > 1e-9]
    correlations = np.atleast_2d(np.corrcoef(varying.T))[np.triu_indices(varying.shape[1], 1)]
    results = {"mean": array.mean(0), "std": array.std(0), "correlation": correlations}
    return {"n": len(array)} | {key: [float(f"{value:.5g}") for value in result] for key, result in results.items()}


def measure(name: str) -> dict[str, Any]:
    """Draw many times, and summarise."""
    size, augment = SIZES[name], pipeline(name)
    points = [(x * size, y * size) for x, y in POINTS[name]]
    picture = bright_picture(size)
    drawn: dict[str, list[Any]] = {"matrix": [], "light": [], "hole_count": [], "hole": [], "crop": []}
    applied, kept, kept_applied, black, histograms = [], [], [], [], []
    for number in range(DRAWS):
        result = augment(image=picture, keypoints=points)
        parts = result["replay"]["transforms"]
        applied.append([part["applied"] for part in parts[:3]])
        complete = len(result["keypoints"]) == len(points)
        kept.append(complete)
        if complete:
            kept_applied.append(applied[-1])
        if parts[0]["applied"]:
            matrix = np.array(parts[0]["params"]["matrix"].params)[:2]
            matrix[:, 2] /= size
            drawn["matrix"].append(matrix)
        if parts[1]["applied"]:
            drawn["light"].append([parts[1]["params"]["alpha"], parts[1]["params"]["beta"]])
        if parts[2]["applied"]:
            holes = np.asarray(parts[2]["params"]["holes"])
            drawn["hole_count"].append([len(holes)])
            drawn["hole"].append(np.hstack([holes[0, :2], holes[0, 2:] - holes[0, :2]]) / size)
        if len(parts) > 3:
            drawn["crop"].append([parts[3]["params"]["crop_coords"][0] / size])
        if number < PICTURES and complete:
            black.append([(result["image"] == 0).mean()])
            histograms.append(np.histogram(result["image"], 16, (0, 256))[0] / result["image"].size)
    summary = {key: moments(values) for key, values in drawn.items() if values}
    summary |= {"applied": moments(applied), "kept_applied": moments(kept_applied), "kept": moments(kept)}
    summary |= {"black": moments(black), "histogram": moments(histograms)}
    del summary["histogram"]["correlation"]
    return {"size": size, "points": POINTS[name], **summary}


if __name__ == "__main__":
    random.seed(0)  # all randomness of this release comes from here
    sys.stderr.write(f"albumentations {A.__version__}\n")
    json.dump({name: measure(name) for name in SIZES}, sys.stdout, indent=1)
