"""SpineNet, run in a separate Python: volumes of sagittal series go in, vertebra outlines come out.

The package `spinenet` needs another Python and another PyTorch than this project, so that
`lumbar.labels.spinenet_runner` runs it as a child process. SpineNet's licence is for non-commercial research only and
covers what it puts out.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lumbar.cli import UserError
from lumbar.images.numbering import read_instances
from lumbar.labels import spinenet_runner

HOW_TO_INSTALL: Final = (
    "make an environment for it with 'python3.11 -m venv spinenet-env && spinenet-env/bin/pip install spinenet' and "
    "pass --spinenet-python spinenet-env/bin/python; or do without SpineNet: "
    "make_sag_loc_labels_part2.py --source coordinates"
)


class SeriesError(UserError):
    """One series cannot be outlined; the others can."""


class SpineNet:
    """A running SpineNet; use it in a ``with`` block.

    Parameters
    ----------
    python : Path
        The Python of the environment that has the package `spinenet`.
    device : str
        ``cpu``, ``cuda:0``, or ``auto``: the GPU if there is one.
    threads : int
        CPU cores that it may use.

    Raises
    ------
    UserError
        If that Python, the package or its weights are missing; says what to install.
    """

    def __init__(self, python: Path, device: str = "auto", threads: int = 1) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        try:
            self._process = subprocess.Popen(
                [python, spinenet_runner.__file__, device, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            raise UserError(f"{python}: cannot be run ({error.strerror}); {HOW_TO_INSTALL}", status=2) from error
        try:
            self.device: str = self._started(python)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def detect(self, volume: NDArray[np.float32], spacing: tuple[float, float]) -> list[dict[str, Any]]:
        """Outline the vertebrae of a series.

        Parameters
        ----------
        volume : ndarray, shape (H, W, slices)
            The slices, by ascending instance number.
        spacing : (float, float)
            Between rows and between columns, mm.

        Returns
        -------
        list of dict
            ``predicted_label, slice_nos, polys`` per vertebra, in pixels of the volume; plain values only.

        Raises
        ------
        SeriesError
            If SpineNet fails on this volume.
        UserError
            If SpineNet's process died.
        """
        header = json.dumps({"shape": volume.shape, "spacing": spacing}).encode() + b"\n"
        answer = self._ask(header + np.ascontiguousarray(volume, np.float32).tobytes())
        if "error" in answer:
            raise SeriesError(f"SpineNet fails on it ({answer['error']})")
        outlines: list[dict[str, Any]] = answer["outlines"]
        return outlines

    def _started(self, python: Path) -> str:
        answer = self._ask(b"")
        if answer.get("kind") == "package":
            raise UserError(f"{python}: cannot import SpineNet ({answer['error']}); {HOW_TO_INSTALL}")
        if answer.get("kind") == "weights":
            raise UserError(
                f"SpineNet's weights are missing or unusable ({answer['error']}); they are downloaded on first use, "
                "which needs the network; or do without SpineNet: make_sag_loc_labels_part2.py --source coordinates"
            )
        return str(answer["device"])

    def _ask(self, content: bytes) -> dict[str, Any]:
        """Send a request and wait for one line of answer."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(content)
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines() or ["it printed nothing"]
            raise UserError(f"SpineNet's process died: {lines[-1]}; finished files are kept") from error
        return answer


def read_volume(
    folder: Path, slices: pd.DataFrame
) -> tuple[NDArray[np.float32], tuple[float, float], NDArray[np.float64]]:
    """Read a series as SpineNet wants it.

    Parameters
    ----------
    folder : Path
        The series' DICOM files.
    slices : DataFrame
        Its rows of the metadata table.

    Returns
    -------
    volume : ndarray, shape (H, W, slices)
        By ascending instance number, in rescaled units; H x W is the size of most slices, others are resized to it.
    spacing : (float, float)
        Between rows and between columns, mm: the mean over the slices of that size.
    scale : ndarray, shape (slices, 2)
        Factors from x, y in the volume to x, y in each slice.

    Raises
    ------
    DicomError
        If a slice cannot be read.
    SeriesError
        If no slice has a PixelSpacing.
    """
    ordered = slices.sort_values("instance_number")
    sizes = ordered[["img_w", "img_h"]].to_numpy()
    width, height = (int(side) for side in ordered[["img_w", "img_h"]].value_counts().index[0])
    usual = (sizes == (width, height)).all(axis=1)
    spacings = [each for each in ordered.loc[usual, "PixelSpacing"] if isinstance(each, tuple)]
    if not spacings:
        raise SeriesError(f"{folder}: no slice has a PixelSpacing, which SpineNet needs")
    rows, columns = np.mean(spacings, axis=0).tolist()
    volume = np.empty((height, width, len(ordered)), np.float32)
    for index, image in enumerate(read_instances(folder, ordered["instance_number"])):
        pixels = image.pixels.astype(np.float32)
        same = pixels.shape == (height, width)
        volume[..., index] = pixels if same else cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return volume, (rows, columns), sizes / (width, height)


def in_slices(outlines: list[dict[str, Any]], scale: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Move outlines from pixels of the volume to pixels of each slice (`scale` as `read_volume` gives it)."""
    return [
        {**found, "polys": (np.asarray(found["polys"]) * scale[found["slice_nos"], None]).tolist()}
        for found in outlines
    ]
