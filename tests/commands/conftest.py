"""A tiny competition of axial slices, and the commands run on it as a user would."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from lumbar import tables
from lumbar.anatomy import AXIAL_T2, TARGETS

ROOT = Path(__file__).parents[2]
STUDIES, SLICES, SIDE = 8, 5, 48
TINY = {
    "backbone": "test_efficientnet.r160_in1k",
    "pretrained": False,
    "img_size": 32,
    "batch_size": 4,
    "num_workers": 1,
    "epochs": 2,
    "seed": 1,
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: one axial series of five slices in each of eight studies, every slice annotated."""
    data = tmp_path_factory.mktemp("competition")
    rng = np.random.default_rng(0)
    folds, points, meta = [], [], []
    for study in range(101, 101 + STUDIES):
        series = 1000 + study
        folds.append({"study_id": study, "series_id": series, "series_description": AXIAL_T2, "fold": study % 4})
        for instance in range(1, SLICES + 1):
            path = data / "train_images_v01" / str(study) / str(series) / f"{instance}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8))
            place = {"study_id": study, "series_id": series, "instance_number": instance}
            for side, x in (("Left", 30), ("Right", 18)):
                label = {"condition": f"{side} Subarticular Stenosis", "level": "L1/L2", "x": x, "y": 20 + instance}
                points.append({**place, **label})
            meta.append(
                dict.fromkeys(tables.META.columns)
                | place
                | {
                    "ImagePositionPatient": (-20.0, -20.0, 10.0 * instance),
                    "ImageOrientationPatient": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
                    "PixelSpacing": (1.0, 1.0),
                    "img_w": SIDE,
                    "img_h": SIDE,
                }
            )
    tables.write_table(pd.DataFrame(folds).assign(**dict.fromkeys(TARGETS, "Moderate")), data, tables.FOLDS)
    tables.write_table(pd.DataFrame(points), data, tables.LABEL_COORDINATES)
    tables.write_table(pd.DataFrame(meta), data, tables.META)
    return data


@pytest.fixture
def command(competition: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """``command(*options, launcher=..., **keys)`` gives the words of a tiny training command."""

    def words(*options: str, launcher: tuple[str, ...] = (), **keys: Any) -> list[str]:
        values = {**TINY, "data_dir": competition, "weights_dir": tmp_path / "weights"} | keys
        pairs = [word for key, value in values.items() for word in (f"--{key}", str(value))]
        return [sys.executable, *launcher, str(ROOT / "train.py"), "-G", "cpu", *options, *pairs]

    return words


@pytest.fixture
def environment() -> dict[str, str]:
    """One thread per process, so that results do not depend on the machine."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """``run(words)`` runs a command in a folder of its own and returns when it has ended."""

    def start(words: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return start
