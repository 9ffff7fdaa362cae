"""How training went: a table of the runs and their learning curves, from what each run wrote down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from lumbar.engine.runs import Run
from lumbar.html.charts import COLOURS, Chart, draw

TRAIN_LOSS, VAL_LOSS, VAL_SCORE = "train_loss", "val_loss", "val_score"

SCORES: Final = {
    "val_median_mm": "validation: median distance, mm",
    "val_mean_absolute_error": "validation: mean absolute error",
    VAL_SCORE: "validation: score",
}
"""What `VAL_SCORE` is, by a column that the history then has."""

COMMIT: Final = 10
"""Digits of a commit that are shown."""


class RunLine(NamedTuple):
    """A run as one line of a table; NaN where unknown."""

    config: str
    fold: int
    seed: int
    epochs: float
    steps: float
    minutes: float
    train_loss: float
    val_loss: float
    score: float
    commit: str


def run_line(run: Run, history: pd.DataFrame) -> RunLine:
    """Sum up a run by the last row of its history; one that only inferred has no losses, and no score."""
    last = history.iloc[-1] if len(history) else pd.Series(dtype=float)
    if TRAIN_LOSS not in last:
        last = last.drop([VAL_LOSS, VAL_SCORE], errors="ignore")
    columns = ("epoch", "step", "seconds", TRAIN_LOSS, VAL_LOSS, VAL_SCORE)
    epochs, steps, seconds, train_loss, val_loss, score = (float(last.get(name, float("nan"))) for name in columns)
    commit, dirty, _ = str(run.record.get("git_commit") or "").partition("-dirty")
    return RunLine(run.config, run.fold, run.seed, epochs, steps, seconds / 60, train_loss, val_loss, score,
                   commit[:COMMIT] + (" + changes" if dirty else ""))  # fmt: skip


def troubles(run: Run, history: pd.DataFrame) -> list[str]:
    """Say what did not go as it should: steps that were skipped, training that did not end."""
    lines = []
    for column, what in (("nonfinite", "steps with a non-finite loss"), ("skipped", "steps without a label")):
        if column in history and history[column].sum() > 0:
            lines.append(f"{run}: {history[column].sum():.0f} {what} were skipped")
    epochs = getattr(run.cfg, "epochs", None)
    if TRAIN_LOSS in history and epochs is not None and history["epoch"].max() < epochs:
        lines.append(f"{run}: stopped after epoch {history['epoch'].max():g} of {epochs}")
    return lines


def learning_curves(config: str, histories: Mapping[Run, pd.DataFrame]) -> list[Markup]:
    """Draw the losses and the score over the epochs, each run in the colour of its fold.

    Parameters
    ----------
    config : str
        The config that is drawn.
    histories : mapping of Run to DataFrame
        The histories of its runs; those that only infer have no curves.
    """
    trained = {run: history for run, history in histories.items() if TRAIN_LOSS in history}
    if not trained:
        return []
    with draw(f"loss-{config}", f"Losses of {config} over the epochs", "loss") as losses:
        _plot(losses, trained, {TRAIN_LOSS: "--", VAL_LOSS: "-"})
        losses.axes.set(xlabel="epoch (dashed: training)")
    measured = next((name for column, name in SCORES.items() if any(column in each for each in trained.values())), "")
    with draw(f"score-{config}", f"Validation of {config} over the epochs: {measured}", measured) as scores:
        _plot(scores, trained, {VAL_SCORE: "-"})
        scores.axes.set(xlabel="epoch")
    return [losses.svg, scores.svg]


def _plot(chart: Chart, histories: Mapping[Run, pd.DataFrame], styles: Mapping[str, str]) -> None:
    folds: Sequence[int] = sorted({run.fold for run in histories})
    for fold in folds:
        label: str | None = f"fold {fold}"
        for run, history in histories.items():
            for column, style in styles.items():
                if run.fold == fold and column in history:
                    measured = history.dropna(subset=column)  # not every epoch is validated
                    chart.axes.plot(measured["epoch"], measured[column], style, color=COLOURS[fold % len(COLOURS)],
                                    marker="o", markersize=3, label=label if style == "-" else None)  # fmt: skip
                    label = None if style == "-" else label
    chart.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    chart.axes.legend(loc="best")
