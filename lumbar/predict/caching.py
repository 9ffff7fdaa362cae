"""A data folder for some new studies: their DICOM files read once into both caches and the metadata table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lumbar import tables
from lumbar.images.preparation import SeriesJob, prepare_all
from lumbar.predict.networks import IMAGES
from lumbar.predict.study_files import StudyFiles


@dataclass(frozen=True)
class Cached:
    """What the caches of some studies hold."""

    series: pd.DataFrame
    """`study_id, series_id, series_description` of the series with at least one usable slice."""
    meta: pd.DataFrame
    """`lumbar.tables.TEST_META`."""
    failures: dict[int, list[str]]
    """Per study one line for each file that could not be used."""
    scouts: dict[int, int]
    """Per study how many slices lie in another plane than their series, and are left out."""


def make_caches(studies: Sequence[StudyFiles], data: Path, versions: Collection[str], workers: int) -> Cached:
    """Fill a data folder with the caches and the metadata table of some studies.

    Their files are linked to as ``test_images/<study>/<series>/<instance>.dcm``, whatever their layout, so that the
    preparation of training does the rest. `versions` are caches of `lumbar.images.cache.VERSIONS`.
    """
    images = (data / IMAGES).absolute()
    jobs, kinds = [], {}
    for study in studies:
        for series in study.used:
            folder = images / str(study.study_id) / str(series.series_id)
            folder.mkdir(parents=True, exist_ok=True)
            for instance, path in series.files.items():
                link = folder / f"{instance}.dcm"
                if not link.is_symlink():
                    link.symlink_to(path)
            jobs.append(SeriesJob(images, folder.parent.name, folder.name, tuple(versions), force=False))
            kinds[series.series_id] = series.kind
    rows: list[dict[str, Any]] = []
    failures: dict[int, list[str]] = defaultdict(list)
    scouts: Counter[int] = Counter()
    for job, report in zip(jobs, prepare_all(jobs, workers, quiet=True), strict=True):
        rows += report.rows
        scouts[int(job.study)] += len(report.scouts)
        for path, reason in report.failures:
            failures[int(job.study)].append(f"{path.readlink() if path.is_symlink() else path}: {reason}")
    meta = pd.DataFrame(rows, columns=list(tables.TEST_META.columns))
    meta = meta.sort_values(tables.SLICE, ignore_index=True)
    meta["SeriesDescription"] = np.nan  # free text, in which a name may stand; nothing reads it
    tables.write_table(meta, data, tables.TEST_META)
    series_table = meta[["study_id", "series_id"]].drop_duplicates(ignore_index=True)
    series_table["series_description"] = series_table["series_id"].map(kinds)
    return Cached(series_table, meta, dict(failures), dict(scouts))
