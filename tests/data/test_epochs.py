"""Items, steps and learning rates of the six trainings: what the published rules give on the tiny competition.

The rules are written here once more, over the tables themselves, as the published code applies them.
"""

import math

import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import SAGITTAL_T1, SAGITTAL_T2
from lumbar.engine.batches import training_batches
from lumbar.engine.optimisation import learning_rate
from lumbar.tables import AXIAL_LEVELS, AXIAL_XY, LABEL_COORDINATES, META, SAGITTAL_LABELS, SAGITTAL_XY, read_table

SAGITTAL = [SAGITTAL_T1, SAGITTAL_T2]
FOLD = 1


@pytest.fixture
def train(mini_folds):
    """Rows of the fold file that are trained on."""
    return mini_folds[mini_folds["fold"] != FOLD]


@pytest.fixture
def table(mini, train):
    """``table(META)``: the rows of a table that belong to the training series."""

    def read(which):
        rows = read_table(mini / "datamount", which)
        return rows[rows["series_id"].isin(train["series_id"])]

    return read


def sagittal_levels(table, train, threshold):
    """(study, level) with a box on a sagittal series."""
    points = table(SAGITTAL_XY)
    points = points[points["series_id"].isin(train.loc[train["series_description"].isin(SAGITTAL), "series_id"])]
    best = points.groupby("series_id")["logits_mask"].transform("max")
    return set(points.loc[best > threshold, ["study_id", "level"]].itertuples(index=False, name=None))


def axial_levels(table, train):
    """(study, level) with a box on an axial series."""
    mapping = table(AXIAL_LEVELS)
    mapping = mapping[mapping["distance"].str[0] < 3]
    number = mapping["level"].str[1].astype(int)
    consecutive = number.groupby(mapping["series_id"]).agg(lambda levels: (np.diff(np.unique(levels)) == 1).any())
    mapping = mapping[mapping["series_id"].map(consecutive) & mapping["series_id"].isin(table(AXIAL_XY)["series_id"])]
    study = mapping["series_id"].map(train.drop_duplicates("series_id").set_index("series_id")["study_id"])
    return set(zip(study, mapping["level"], strict=True))


def items_of(config, table, train):
    marks = table(LABEL_COORDINATES)
    described = train.drop_duplicates("series_id").set_index("series_id")["series_description"]
    if config == "cfg_dh_05b5_loc":
        recesses = marks[marks["series_id"].map(described) == "Axial T2"]
        return len(recesses.drop_duplicates(["series_id", "instance_number"]))
    if config == "cfg_dh_14p2_locsag":
        return int(table(META)["series_id"].isin(table(SAGITTAL_LABELS)["series_id"]).sum())
    if config == "cfg_dh_14s10a_locsag":
        return marks.loc[marks["series_id"].map(described).isin(SAGITTAL), "series_id"].nunique()
    if config == "cfg_dh_12y8":
        return len(sagittal_levels(table, train, 0.8))
    threshold = {"cfg_dh_29a2": 0.7, "cfg_dh_29g": 0.1}[config]
    return len(sagittal_levels(table, train, threshold) | axial_levels(table, train))


def published_rate(lr, epochs, items, batch_size, step):
    """The published schedule: a cosine with warm-up, counted in whole batches of each epoch."""
    rising = 0.1 * epochs * (items // batch_size) // 1
    total = epochs * (items // batch_size)
    if step < rising:
        return lr * step / max(1, rising)
    return lr * max(0, 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising))))


@pytest.mark.parametrize(("config", "epochs", "lr"), [
    ("cfg_dh_05b5_loc", 16, 2e-4), ("cfg_dh_14p2_locsag", 8, 2e-4), ("cfg_dh_14s10a_locsag", 8, 2e-4),
    ("cfg_dh_12y8", 5, 4e-4), ("cfg_dh_29a2", 6, 4e-4), ("cfg_dh_29g", 6, 4e-4),
])  # fmt: skip
def test_items_steps_and_rates(config, epochs, lr, make_dataset, table, train):
    dataset = make_dataset(config, "train", df=train, batch_size=4)
    items = items_of(config, table, train)
    assert len(dataset) == items > 4
    steps = len(training_batches(dataset.cfg, dataset, 0, 1))
    assert steps == items // 4
    assert (dataset.cfg.epochs, dataset.cfg.lr) == (epochs, lr)
    rates = [learning_rate(dataset.cfg, step, epochs * steps) for step in range(epochs * steps)]
    assert rates[0] == 0
    assert rates == pytest.approx([published_rate(lr, epochs, items, 4, step) for step in range(epochs * steps)])


def test_training_of_the_z_localiser_needs_a_human_point(make_dataset, mini, train):
    path = mini / "datamount" / LABEL_COORDINATES.path
    marks = pd.read_csv(path)
    gone = 910000011
    assert gone in marks["series_id"].to_numpy()
    marks[marks["series_id"] != gone].to_csv(path, index=False)
    training, validation = (make_dataset("cfg_dh_14s10a_locsag", mode) for mode in ("train", "val"))
    assert gone not in training.sequences.series_id
    assert gone in validation.sequences.series_id
