"""The slices of a study that are worth showing: the one through the canal, and one axial slice per level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lumbar.anatomy import AXIAL_T2, LEVELS, SAGITTAL_T1, SAGITTAL_T2
from lumbar.images.cache import cache_dir
from lumbar.images.slices import SliceIndex
from lumbar.images.volumes import VolumeStore
from lumbar.items.axial_crops import axial_sequences
from lumbar.predict.caching import Cached
from lumbar.predict.locating import Located
from lumbar.predict.networks import IMAGES
from lumbar.predict.record import AxialView, SagittalView

PREFERRED = (SAGITTAL_T2, SAGITTAL_T1)
"""Series types to show the spine on: fluid is bright on the first."""


class Viewer:
    """Finds the slices to show of some studies; pictures come from the cache `version` of their data folder."""

    def __init__(self, cached: Cached, located: Located, data: Path, version: str) -> None:
        self.located = located
        self.series = cached.series
        self.slices = SliceIndex(cached.meta)
        self.store = VolumeStore(cache_dir(data / IMAGES, version))
        axial = self.series.loc[self.series["series_description"] == AXIAL_T2, "series_id"]
        stacks = SliceIndex(cached.meta[cached.meta["series_id"].isin(axial)])
        self.sequences = axial_sequences(located.levels, located.axial, stacks)

    def sagittal(self, study_id: int) -> SagittalView | None:
        """Show the slice through the canal, on T2/STIR where there is one; None where nothing was located."""
        series = self.series[self.series["study_id"] == study_id]
        for kind in PREFERRED:
            for series_id in series.loc[series["series_description"] == kind, "series_id"]:
                if series_id in self.located.canal:
                    return self._sagittal(study_id, int(series_id), kind)
        return None

    def _sagittal(self, study_id: int, series_id: int, kind: str) -> SagittalView:
        shown = self.located.canal[series_id]
        return SagittalView(
            series_id=series_id,
            instance_number=shown.instance,
            kind=kind,
            spacing=self._spacing(series_id, shown.instance),
            confidence=min(max(shown.mask, 0.0), 1.0),
            points=shown.points,
            image=self.store.series(study_id, series_id).crop(shown.instance).copy(),
        )

    def axial(self, study_id: int) -> tuple[AxialView, ...]:
        """Show the axial slice closest to each level, as far as the level is on one."""
        closest = _closest(self.located.levels)
        views = []
        for number, level in enumerate(LEVELS):
            of_level = (self.sequences.study_id == study_id) & (self.sequences.level == number)
            found = [(*closest[int(self.sequences.series_id[n]), level], int(n)) for n in np.flatnonzero(of_level)]
            if found:
                views.append(self._axial(study_id, level, *min(found)))
        return tuple(views)

    def _axial(self, study_id: int, level: str, distance: float, instance: int, number: int) -> AxialView:
        sequences, axial = self.sequences, self.located.axial
        series_id = int(sequences.series_id[number])
        image = self.store.series(study_id, series_id).crop(instance).copy()
        row = axial[(axial["series_id"] == series_id) & (axial["instance_number"] == instance)]
        found = row[["x_left", "y_left", "x_right", "y_right"]].to_numpy(np.float64)
        points = found[0] if len(found) else np.full(4, np.nan)
        ratio = np.array(image.shape[::-1]) / sequences.size[number]
        return AxialView(
            level=level,
            series_id=series_id,
            instance_number=instance,
            distance=distance,
            slices=len(sequences.slice_rows(number)),
            spacing=self._spacing(series_id, instance),
            box=np.rint(sequences.pixel_boxes()[number] * np.tile(ratio, 2)).astype(np.int64),
            points=points.reshape(2, 2) * image.shape[::-1],
            image=image,
        )

    def _spacing(self, series_id: int, instance: int) -> tuple[float, float]:
        row = int(self.slices.find(series_id, instance))
        return float(self.slices.spacing[row, 0]), float(self.slices.spacing[row, 1])


def _closest(levels: pd.DataFrame) -> Mapping[tuple[int, str], tuple[float, int]]:
    """Find the closest slice, as (distance, instance number), of each axial series and level."""
    closest: dict[tuple[int, str], tuple[float, int]] = {}
    columns: Sequence[str] = ("series_id", "level", "distance", "mapped_ax_instance_number")
    for series_id, level, distances, instances in levels[list(columns)].itertuples(index=False):
        key = int(series_id), level
        closest[key] = min(closest.get(key, (float("inf"), 0)), (float(distances[0]), int(instances[0])))
    return closest
