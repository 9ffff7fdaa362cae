"""Grades of new studies: the classifiers, each through its own post-processing, and the MLP that combines them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lumbar.anatomy import CONDITION_PARTS, CONDITIONS, GRADES, LEVELS, PARTS, SERIES_TYPES, TARGETS
from lumbar.grades.class_shares import class_shares
from lumbar.grades.combiner import Combiner, mean_of_models
from lumbar.grades.scoring import Floats, softmax
from lumbar.grades.studies import gather_studies
from lumbar.predict.clock import Clock
from lumbar.predict.networks import Ensemble
from lumbar.predict.record import MODELS, NEIGHBOUR, OTHER_SERIES, SHARES

TARGET_PARTS = tuple(CONDITION_PARTS[condition] for condition in CONDITIONS for _ in LEVELS)
"""Condition group of each of the 25 targets."""


@dataclass(frozen=True)
class Graded:
    """Grades of N studies."""

    study_id: NDArray[np.int64]
    """Ascending, shape (N)."""
    probabilities: Floats
    """Shape (N, 25, 3); each triple sums to 1."""
    models: dict[str, Floats]
    """Probabilities per classifier, shape (N, 25, 3); NaN where it predicted nothing."""
    source: NDArray[Any]
    """Where each target's probabilities come from, of `lumbar.predict.record.SOURCES`, shape (N, 25)."""


def grade(
    series: pd.DataFrame, data: Path, classifiers: Mapping[str, Ensemble], combiner: Combiner | None, clock: Clock
) -> Graded:
    """Grade some studies.

    Parameters
    ----------
    series : DataFrame
        `study_id, series_id, series_description` of their usable series.
    data : Path
        Their data folder, with the localisers' tables.
    classifiers : mapping of str to Ensemble
        Networks by config.
    combiner : Combiner or None
        The MLP; without it the classifiers are averaged.
    clock : Clock
        Takes the time of each classifier.
    """
    study_id = np.unique(series["study_id"].to_numpy(np.int64))
    shape = len(study_id), len(TARGETS)
    models: dict[str, Floats] = {}
    source = np.full(shape, SHARES, dtype=object)
    own_series, other_series, filled = (np.zeros(shape, dtype=bool) for _ in range(3))
    for name, ensemble in classifiers.items():
        with clock(name):
            rows = with_stand_ins(series, ensemble.cfg.parts)
            output = ensemble.predict(rows, data)
            models[name] = np.full((*shape, len(GRADES)), np.nan)
            if not output:
                continue
            grades = ensemble.post_process(output, rows)
            logits, predicted = grades["logits"].numpy().astype(np.float64), grades["predicted"].numpy()
            models[name][predicted] = softmax(logits[predicted])
            direct = gather_studies(output, rows, PARTS).predicted & predicted
            meant = np.isin(TARGET_PARTS, ensemble.cfg.parts)
            own_series |= direct & meant
            other_series |= direct
            filled |= predicted
    source[filled], source[other_series], source[own_series] = NEIGHBOUR, OTHER_SERIES, MODELS
    with clock("MLP"):
        probabilities = np.where(filled[..., None], combine(models, combiner), class_shares())
    return Graded(study_id, probabilities / probabilities.sum(-1, keepdims=True), models, source)


def combine(models: Mapping[str, Floats], combiner: Combiner | None) -> Floats:
    """Combine the classifiers: by the MLP those that it knows, without it all by their mean; (N, 25, 3)."""
    if combiner is not None:
        return combiner.combine({name: values for name, values in models.items() if name in combiner.names})
    return mean_of_models(torch.from_numpy(np.stack(list(models.values()), axis=1))).numpy()


def with_stand_ins(series: pd.DataFrame, parts: tuple[str, ...]) -> pd.DataFrame:
    """Add a series that does not exist for each type that a study lacks and whose slices are not looked at.

    A classifier that reads all conditions on axial slices (`ds_dh_23j`) books sagittal conditions under the study's
    sagittal series, and leaves them out where there is none. With a stand-in it answers for them too. The types of
    `parts`, the condition groups whose own series the classifier looks at, get no stand-in.
    """
    rows = []
    for part, kind in zip(PARTS, SERIES_TYPES, strict=True):
        if part not in parts:
            lacking = np.setdiff1d(series["study_id"], series.loc[series["series_description"] == kind, "study_id"])
            rows += [(study, kind) for study in lacking]
    if not rows:
        return series
    made = pd.DataFrame(rows, columns=["study_id", "series_description"])
    return pd.concat([series, made.assign(series_id=-1 - np.arange(len(made)))], ignore_index=True)[series.columns]
