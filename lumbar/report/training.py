"""The report of training runs: what is missing, scores, confusion, localisation, learning curves, worst cases."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from lumbar.anatomy import GRADES, NFN, SCS, SS
from lumbar.cli import UserError
from lumbar.config import module_names
from lumbar.engine.runs import Run, find_runs
from lumbar.grades.scoring import ANY_SEVERE, SCORE, all_scores
from lumbar.html.charts import COLOURS, draw, steps
from lumbar.html.page import Table, number, number_cell, percent, percent_cell, write_page
from lumbar.localise.point_errors import Errors, localisation_errors
from lumbar.report.calibration import confusion, labelled, reliability_chart
from lumbar.report.histories import learning_curves, run_line, troubles
from lumbar.report.scores import Outcome, grade_outcomes
from lumbar.report.worst import Slices, WorstStudy, WorstTarget, worst_studies, worst_targets
from lumbar.tables import FOLDS, read_table

PART_NAMES: Final = {
    SCS: "Spinal canal stenosis",
    NFN: "Neural foraminal narrowing",
    SS: "Subarticular stenosis",
    ANY_SEVERE: "Any severe canal stenosis",
    SCORE: "Score",
}
"""Parts of the score, as the page names them."""

FURTHEST_DRAWN: Final = 30.0
"""Right end of the distributions, mm."""

CLOSE: Final = {"mm": (5, 10), "slices": (0, 1)}
"""Per unit: errors up to which a localisation counts as close, and as usable."""


class Summary(NamedTuple):
    """What a report holds."""

    path: Path
    runs: int
    configs: int
    graded: int
    notes: int


def write_report(data: Path, weights: Path, path: Path, configs: Sequence[str] = ()) -> Summary:
    """Write the report of the training runs that there are.

    Parameters
    ----------
    data : Path
        The data folder; what is absent there is left out, and named on the page.
    weights : Path
        Folder of ``<config>/fold<k>/``.
    path : Path
        The HTML file.
    configs : sequence of str
        Which; empty takes all.

    Raises
    ------
    UserError
        If there is no run at all.
    """
    notes: list[str] = []
    runs = find_runs(weights, configs, notes) if weights.is_dir() else []
    if not runs:
        wanted = f" of {', '.join(configs)}" if configs else ""
        raise UserError(f"{weights}: no run{wanted} (<config>/fold<k>/history_seed<s>.csv); train one with train.py")
    expected = configs or [name for name in module_names("configs") if name.startswith("cfg_")]
    notes += [f"{name}: no run" for name in expected if name not in {run.config for run in runs}]

    folds = _read_folds(data, notes)
    by_config, by_run = ({}, {}) if folds is None else grade_outcomes(runs, folds, notes)
    notes += _missing_folds(runs, folds)
    histories = {run: run.history() for run in runs}
    for run, history in histories.items():
        notes += troubles(run, history)
    slices = Slices(data)
    localisation = localisation_errors(data, notes)
    final = _final(by_config)
    fold_of = {} if folds is None else dict(zip(folds["study_id"], folds["fold"], strict=True))
    targets = worst_targets(final, slices) if final else []
    write_page(
        path,
        "training.html.j2",
        data=data.resolve().name,
        best=_best(final) if final else None,
        notes=[note.replace(f"{data}{os.sep}", "").replace(f"{weights}{os.sep}", "") for note in notes],
        grades=GRADES,
        scores=_model_scores(by_config),
        baselines=_baselines(by_config),
        score_chart=_score_chart(by_config, by_run),
        run_scores=_run_scores(by_run),
        models=[_model(outcome, outcome is final) for outcome in by_config.values()],
        localisation=[_localisation(errors, slices) for errors in localisation],
        runs=_run_table(histories),
        curves=_curves(histories),
        worst_targets=_target_table(targets),
        worst_pictures=[case.picture for case in targets if case.picture],
        worst_studies=_study_table(worst_studies(final, fold_of) if final else []),
    )
    return Summary(path, len(runs), len(_configs(runs)), len(by_config), len(notes))


def _read_folds(data: Path, notes: list[str]) -> pd.DataFrame | None:
    """Read the fold file, which holds the labels; without it nothing can be scored."""
    try:
        return read_table(data, FOLDS)
    except UserError as error:
        notes.append(f"grades are not scored: {error}")
        return None


def _missing_folds(runs: Sequence[Run], folds: pd.DataFrame | None) -> list[str]:
    """Name the folds that a config lacks."""
    if folds is None:
        return []
    known = set(folds["fold"])
    missing = {config: known - {run.fold for run in runs if run.config == config} for config in _configs(runs)}
    return [
        f"{config}: no run of fold {', '.join(map(str, sorted(lacks)))}" for config, lacks in missing.items() if lacks
    ]


def _configs(runs: Iterable[Run]) -> list[str]:
    """List the configs of runs, each once, in their order."""
    return list(dict.fromkeys(run.config for run in runs))


def _final(by_config: Mapping[str, Outcome]) -> Outcome | None:
    """Choose the predictions to look at most closely: those with the best score that predict everything."""
    scores = {name: outcome.scores()[SCORE] for name, outcome in by_config.items()}
    known = {name: score for name, score in scores.items() if not np.isnan(score)}
    chosen = min(known, key=lambda name: known[name]) if known else next(iter(by_config), None)
    return None if chosen is None else by_config[chosen]


def _best(outcome: Outcome) -> dict[str, Any]:
    """Say how the predictions that are looked at most closely score, and against the class shares."""
    score = outcome.scores()[SCORE]
    change = score / outcome.baseline_scores()[SCORE] - 1
    return {"name": outcome.name, "score": score, "known": not np.isnan(score), "change": change,
            "studies": len(outcome.study_id)}  # fmt: skip


def _model_scores(by_config: Mapping[str, Outcome]) -> Table:
    return _score_table("Scores by model", {(name,): outcome for name, outcome in by_config.items()}, "Model")


def _run_scores(by_run: Mapping[Run, Outcome]) -> Table:
    names: list[tuple[str | int, ...]] = [(run.config, run.fold, run.seed) for run in by_run]
    outcomes = dict(zip(names, by_run.values(), strict=True))
    return _score_table("Scores by fold and seed", outcomes, "Config", "Fold", "Seed")


def _score_table(label: str, outcomes: Mapping[tuple[str | int, ...], Outcome], *heads: str) -> Table:
    """Lay out scores and their change against the class shares, one row per outcome, which starts with its name."""
    rows = []
    for name, outcome in outcomes.items():
        values, unpredicted = outcome.scores(), outcome.unpredicted()
        cells = [
            number_cell(values[part])
            if np.isnan(change)
            else number_cell(values[part])._replace(
                style="better" if change < 0 else "worse", remark=f"{number(100 * change, 0, sign=True)} %"
            )
            for part, change in zip(PART_NAMES, np.array(_relative(outcome)) - 1, strict=True)
        ]
        rows.append((*name, len(outcome.study_id), *cells, percent_cell(unpredicted, 1)))
    return Table(
        label, (*heads, "Studies", *PART_NAMES.values(), "Not predicted"), rows, label.lower().replace(" ", "-")
    )


def _baselines(by_config: Mapping[str, Outcome]) -> Table:
    """Score the class shares on the studies of the config that has most."""
    rows = []
    if by_config:
        outcome = max(by_config.values(), key=lambda each: len(each.study_id))
        for name, scores in (
            ("weighted", outcome.baseline_scores()),
            ("plain", all_scores(outcome.plain, outcome.grades)),
        ):
            rows.append((f"Class shares, {name}", *(number(scores[part]) for part in PART_NAMES)))
    return Table("Scores of the class shares", ("Constant answer", *PART_NAMES.values()), rows)


def _run_table(histories: Mapping[Run, pd.DataFrame]) -> Table:
    heads = ("Config", "Fold", "Seed", "Epochs", "Steps", "Minutes", "Training loss", "Validation loss",
             "Validation score", "Commit")  # fmt: skip
    lines = [run_line(run, history) for run, history in histories.items()]
    rows = [
        (line.config, line.fold, line.seed, number(line.epochs, 0), number(line.steps, 0), number_cell(line.minutes, 1),
         *(number_cell(value, 4) for value in (line.train_loss, line.val_loss, line.score)), line.commit)
        for line in lines
    ]  # fmt: skip
    return Table("Runs", heads, rows, "all-runs")


def _target_table(cases: Iterable[WorstTarget]) -> Table:
    rows = [
        (case.name, case.study_id, case.right, *map(percent_cell, case.predicted), number_cell(case.loss, 2))
        for case in cases
    ]
    return Table(
        "Targets that cost most", ("Target", "Study", "Label", *GRADES, "Weighted loss"), rows, "worst-targets"
    )


def _study_table(cases: Iterable[WorstStudy]) -> Table:
    heads = ("Study", "Fold", "Sum of weighted losses", "Share of all", "Worst target")
    rows = [
        (case.study_id, case.fold, number_cell(case.loss, 1), percent_cell(case.share, 1), case.worst) for case in cases
    ]
    return Table("Studies that cost most", heads, rows, "worst-studies")


def _score_chart(by_config: Mapping[str, Outcome], by_run: Mapping[Run, Outcome]) -> Markup:
    """Draw every score as a share of that of the class shares."""
    if not by_config:
        return Markup("")
    with draw("scores", "Scores of each model relative to the class shares, by part; the tables hold the numbers") as c:
        for number, (name, outcome) in enumerate(by_config.items()):
            place = np.arange(len(PART_NAMES)) + 0.7 * ((number + 0.5) / len(by_config) - 0.5)
            colour = COLOURS[number % len(COLOURS)]
            for run, one in by_run.items():
                if run.config == name:
                    c.axes.plot(place, _relative(one), ".", color=colour, alpha=0.5, markersize=4)
            c.axes.plot(place, _relative(outcome), "D", color=colour, markersize=5, label=name)
        c.axes.axhline(1, color=COLOURS[-1], linewidth=1)
        labels = ["canal", "foramina", "subart.", "any severe", "score"]
        c.axes.set_xticks(range(len(PART_NAMES)), labels)
        c.axes.set(ylabel="of the class shares' score")
        c.axes.legend(loc="best")
    return c.svg


def _relative(outcome: Outcome) -> list[float]:
    values, baseline = outcome.scores(), outcome.baseline_scores()
    return [values[part] / baseline[part] for part in PART_NAMES]


def _model(outcome: Outcome, final: bool) -> dict[str, Any]:
    """Lay out confusion and reliability of one model."""
    parts = []
    for part in (SCS, NFN, SS):
        probabilities, grades = labelled(outcome, part)
        if len(grades):
            counts = confusion(probabilities, grades)
            shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
            chart = reliability_chart(f"reliability-{outcome.name}-{part}", PART_NAMES[part], probabilities, grades)
            rows = list(zip(GRADES, counts.tolist(), shares.tolist(), strict=True))
            parts.append({"name": PART_NAMES[part], "rows": rows, "chart": chart, "labels": len(grades)})
    return {"name": outcome.name, "parts": parts, "open": final}


def _localisation(errors: Errors, slices: Slices) -> dict[str, Any]:
    """Lay out the errors of one localiser: quantiles, distribution, worst slices."""
    close, usable = CLOSE[errors.unit]
    heads = [f"within {limit:g} {errors.unit}" if limit else "exact" for limit in (close, usable)]
    rows = []
    for name, values in (*errors.groups.items(), ("all", errors.values)):
        if len(values):
            median, most = np.quantile(values, (0.5, 0.9), method="inverted_cdf")
            shares = (percent(float(np.mean(values <= limit))) for limit in (close, usable))
            rows.append((name, len(values), number(median, 1), number(most, 1), *shares))
    table = Table(errors.title, ("Which", "Number", "Median", "90 % quantile", *heads), rows)
    with draw(f"errors-{errors.title}", f"Distribution of errors: {errors.title}; the table holds the numbers") as c:
        for index, (name, values) in enumerate(errors.groups.items()):
            if errors.unit == "mm" and len(values):
                c.axes.plot(*steps(values), color=COLOURS[index % len(COLOURS)], label=name)
            elif len(values):
                share = [np.mean(values <= off) for off in range(6)]
                c.axes.plot(range(6), share, "o-", color=COLOURS[index % len(COLOURS)], markersize=4, label=name)
        c.axes.set(ylim=(0, 1.02), ylabel="share up to this error", xlabel=f"error, {errors.unit}")
        c.axes.set_xlim(0, FURTHEST_DRAWN if errors.unit == "mm" else 5)
        c.axes.legend(loc="lower right")
    pictures = list(slices.points(errors)) if len(errors.cases) else []
    return {"errors": errors, "table": table, "chart": c.svg, "pictures": pictures}


def _curves(histories: Mapping[Run, pd.DataFrame]) -> list[tuple[str, list[Markup]]]:
    """Draw the learning curves of each config that was trained."""
    drawn = ((name, learning_curves(name, {run: history for run, history in histories.items() if run.config == name}))
             for name in _configs(histories))  # fmt: skip
    return [(name, charts) for name, charts in drawn if charts]
