"""The ensemble on synthetic out-of-fold tables, whose models see the same true severity through different noise."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from lumbar.anatomy import CONDITION_PARTS, CONDITIONS, GRADE_SHARES, GRADE_WEIGHTS, GRADES, LEVELS, PARTS, TARGETS
from lumbar.cli import UserError
from lumbar.grades.combiner import load_combiner
from lumbar.grades.scoring import score_parts, softmax, total_score
from lumbar.grades.submission import read_predictions, write_predictions
from lumbar.labels.human import StudyGrades

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHARES = np.array([GRADE_SHARES[CONDITION_PARTS[name]][level] for name in CONDITIONS for level in range(len(LEVELS))])
COMMON_NOISE = 0.6
GOOD, OVERCONFIDENT = {"noise": 0.3}, {"noise": 0.3, "sharpness": 3.0}
BIASED = {"noise": 0.3, "bias": (0.0, -1.0, -2.0)}
UNINFORMATIVE = {"noise": 0.3, "informed": False}


class World:
    """Studies whose 25 grades follow from a severity, with the grade shares of the real data."""

    def __init__(self, folder: Path, seed: int, studies: int = 400) -> None:
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.study_id = 1000 + np.arange(studies)
        per_study, per_level = self.rng.normal(size=(studies, 1, 1)), self.rng.normal(size=(studies, 1, 5))
        per_target = self.rng.normal(size=(studies, 5, 5))
        self.severity = (0.35**0.5 * per_study + 0.25**0.5 * per_level + 0.4**0.5 * per_target).reshape(studies, 25)
        graded = SHARES / SHARES.sum(1, keepdims=True)
        self.cuts = torch.special.ndtri(torch.from_numpy(graded.cumsum(1)[:, :2])).numpy()  # (25, 2)
        self.seen = self.severity + COMMON_NOISE * self.rng.normal(size=self.severity.shape)
        names = np.array(GRADES, dtype=object)[(self.severity[..., None] > self.cuts).sum(-1)]
        names[self.rng.random(names.shape) > SHARES.sum(1)] = None
        folder.mkdir(parents=True, exist_ok=True)
        labels = pd.DataFrame(names, columns=list(TARGETS))
        labels.insert(0, "study_id", self.study_id)
        labels.to_csv(folder / "train.csv", index=False)
        folds = {"study_id": self.study_id, "fold": self.rng.permutation(studies) % 4}
        pd.DataFrame(folds).to_csv(folder / "folds.csv", index=False)

    def predict(
        self, noise: float, sharpness: float = 1.0, bias: tuple[float, ...] = (0.0, 0.0, 0.0), informed: bool = True
    ) -> NDArray[np.float64]:
        """Predict as well as anyone can who sees the severity through noise, then distort: (N, 25, 3)."""
        seen = self.seen + noise * self.rng.normal(size=self.seen.shape)
        seen = seen if informed else self.rng.permutation(seen)
        variance = COMMON_NOISE**2 + noise**2
        spread = np.sqrt(variance / (1 + variance))
        below = torch.special.ndtr(torch.from_numpy((self.cuts - (seen / (1 + variance))[..., None]) / spread)).numpy()
        posterior = np.diff(below, prepend=0, append=1) + 1e-9
        return softmax(sharpness * np.log(posterior * GRADE_WEIGHTS) + np.array(bias))

    def table(self, name: str, missing: float = 0.0, **model: float) -> Path:
        """Write a model's table, without a share of its rows."""
        path = write_predictions(self.folder / f"{name}.csv", self.study_id, self.predict(**model))
        rows = pd.read_csv(path)
        rows[self.rng.random(len(rows)) >= missing].to_csv(path, index=False)
        return path

    def options(self, *tables: Path) -> list[str]:
        labels = ["--labels", self.folder / "train.csv", "--folds", self.folder / "folds.csv"]
        return [*map(str, ["--oof", *tables, *labels, "--weights_dir", self.folder / "weights"])]

    def scores(self) -> dict[str, pd.Series]:
        table = pd.read_csv(self.folder / "weights" / "cfg_mlp" / "scores.csv")
        return {row["model"]: row for _, row in table[table["fold"] == "all"].iterrows()}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("ensemble_script", ROOT / "scripts" / "ensemble.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(
    *words: str | Path, cwd: Path, program: Path = ROOT / "scripts" / "ensemble.py"
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(program), *map(str, words)],
        cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def show(title: str, scores: Mapping[str, pd.Series]) -> None:
    print(title + ": " + ", ".join(f"{name} {row['score']:.4f}" for name, row in scores.items()))


def test_beats_the_mean_and_the_best_when_one_is_overconfident_and_one_biased(tmp_path):
    world = World(tmp_path, seed=0)
    models = {"good": GOOD, "overconfident": OVERCONFIDENT, "biased": BIASED}
    tables = [world.table(name, **model) for name, model in models.items()]
    done = command(*world.options(*tables), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4/4" in done.stderr and "batch" not in done.stderr  # progress is told in folds
    scores = world.scores()
    show("one over-confident, one biased", scores)
    assert scores["MLP"]["score"] < scores["mean of models"]["score"] * 0.99
    assert scores["MLP"]["score"] < min(scores[name]["score"] for name in models) * 0.99
    lines = done.stdout.splitlines()
    parts = ["score", "scs", "nfn", "ss", "any_severe"]
    assert lines[0].split() == ["model", "studies", *parts, *(f"mean_{part}" for part in parts)]
    assert [line.split()[0] for line in lines[1:7]] == ["class", *models, "mean", "MLP"]
    assert f"score {scores['MLP']['score']:.4f}, mean of models {scores['mean of models']['score']:.4f}" in lines[7]
    assert "400 studies, 4 folds" in lines[7]

    combined = tmp_path / "weights" / "cfg_mlp"
    study_id, answers = read_predictions(combined / "oof.csv")
    assert np.array_equal(study_id, world.study_id) and not np.isnan(answers).any()
    combiner = load_combiner(combined)
    assert combiner.names == tuple(models) and len(combiner.networks) == 4
    used = combiner.combine({path.stem: read_predictions(path)[1] for path in tables})
    assert np.abs(used - answers).mean() < 0.02  # the folds agree


def test_an_uninformative_model_does_no_harm(tmp_path, script):
    world = World(tmp_path, seed=1)
    good = [world.table("first", **GOOD), world.table("second", **GOOD)]
    assert script.main(world.options(*good, world.table("random", **UNINFORMATIVE))) == 0
    scores = world.scores()
    show("one of three uninformative", scores)
    grades = StudyGrades(pd.read_csv(tmp_path / "train.csv")).grades
    without = total_score(score_parts(np.mean([read_predictions(path)[1] for path in good], 0), grades))
    print(f"mean without the uninformative {without:.4f}")
    assert scores["MLP"]["score"] < scores["mean of models"]["score"]
    assert scores["MLP"]["score"] < without * 1.005


def test_works_with_a_twentieth_of_the_rows_missing(tmp_path, script):
    world = World(tmp_path, seed=2)
    models = {"good": GOOD, "overconfident": OVERCONFIDENT, "biased": BIASED}
    assert (
        script.main(world.options(*(world.table(name, missing=0.05, **model) for name, model in models.items()))) == 0
    )
    scores = world.scores()
    show("5 % of rows missing", scores)
    assert scores["MLP"]["score"] < min(row["score"] for name, row in scores.items() if name != "MLP") * 0.995
    study_id, answers = read_predictions(tmp_path / "weights" / "cfg_mlp" / "oof.csv")
    assert len(study_id) == 400 and not np.isnan(answers).any()


def test_a_model_is_scored_on_the_studies_that_it_has(tmp_path, script):
    """It lacks a fifth of the studies: half of those as empty rows, half without any."""
    world = World(tmp_path, seed=2, studies=100)
    full, partial = world.table("full", **GOOD), world.table("partial", **GOOD)
    rows = pd.read_csv(partial)
    rows.loc[rows.index < 10 * 25, ["normal_mild", "moderate", "severe"]] = np.nan
    rows[rows.index < 90 * 25].to_csv(partial, index=False)
    assert script.main(world.options(full, partial)) == 0
    scores = world.scores()
    assert {name: row["studies"] for name, row in scores.items()} == {
        "class shares": 100, "full": 100, "partial": 80, "mean of models": 100, "MLP": 100,
    }  # fmt: skip
    grades = StudyGrades(pd.read_csv(tmp_path / "train.csv")).grades[10:90]
    predicted = {path.stem: read_predictions(path)[1][10:90] for path in (full, partial)}
    assert scores["partial"]["score"] == pytest.approx(total_score(score_parts(predicted["partial"], grades)), abs=1e-6)
    mean = (predicted["full"] + predicted["partial"]) / 2
    assert scores["partial"]["mean_score"] == pytest.approx(total_score(score_parts(mean, grades)), abs=1e-6)


def test_few_studies_stay_near_the_mean(tmp_path, script):
    world = World(tmp_path, seed=3, studies=24)
    assert script.main(world.options(*(world.table(name, **GOOD) for name in "abc"))) == 0
    scores = world.scores()
    show("24 studies, three good models", scores)
    assert scores["MLP"]["score"] < scores["mean of models"]["score"] * 1.02


def test_a_fold_never_learns_from_its_own_labels(tmp_path, script):
    world = World(tmp_path, seed=4, studies=40)
    table = world.table("good", **GOOD)
    folds = pd.read_csv(tmp_path / "folds.csv")["fold"].to_numpy()
    assert script.main(world.options(table)) == 0
    before = read_predictions(tmp_path / "weights" / "cfg_mlp" / "oof.csv")[1]
    labels = pd.read_csv(tmp_path / "train.csv", dtype=object)
    labels.loc[folds == 2, list(TARGETS)] = "Severe"
    labels.to_csv(tmp_path / "train.csv", index=False)
    assert script.main(world.options(table)) == 0
    after = read_predictions(tmp_path / "weights" / "cfg_mlp" / "oof.csv")[1]
    assert np.array_equal(before[folds == 2], after[folds == 2])
    assert not np.allclose(before[folds == 0], after[folds == 0])


def write_val_data(world: World, folds: NDArray[np.int64], config: str) -> None:
    """Write what train.py leaves behind for a classifier: a row per study, level and condition group."""
    logits = np.log(world.predict(**GOOD)).reshape(-1, 5, 5, 3)
    for fold in range(4):
        held_out = np.flatnonzero(folds == fold)
        rows = [(study, part, level) for study in held_out for part in range(3) for level in range(5)]
        sides = {"nfn": (1, 2), "scs": (0, 0), "ss": (3, 4)}
        content = {
            "study_id": torch.tensor([int(world.study_id[study]) for study, _, _ in rows]),
            "condition": torch.tensor([part for _, part, _ in rows]),
            "level": torch.tensor([level for _, _, level in rows]),
            "logits": torch.tensor(np.array([[logits[s, c, level] for c in sides[PARTS[p]]] for s, p, level in rows])),
            "target": torch.zeros(len(rows), 2, dtype=torch.long),
        }
        path = world.folder / "weights" / config / f"fold{fold}" / "val_data_seed5.pth"
        path.parent.mkdir(parents=True)
        torch.save(content, path)


def test_train_py_runs_it_on_the_classifiers_outputs(tmp_path):
    world = World(tmp_path, seed=5, studies=40)
    rows = pd.read_csv(tmp_path / "folds.csv").merge(pd.read_csv(tmp_path / "train.csv"), on="study_id")
    rows.assign(series_id=range(40), series_description="Axial T2").to_csv(
        tmp_path / "train_folded_v1.csv", index=False
    )
    for config in ("cfg_dh_12y8", "cfg_dh_29a2", "cfg_dh_29g"):
        write_val_data(world, rows["fold"].to_numpy(), config)
    words = ["-C", "cfg_mlp", "-G", "cpu", "--fold", "1", "--seed", "3", "--data_dir", "."]
    done = command(*words, "--mlp_views", "own,levels", cwd=tmp_path, program=ROOT / "train.py")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "weights" / "cfg_mlp" / "fold1"
    history = pd.read_csv(folder / "history_seed3.csv")
    assert {"train_loss", "train_loss_scs", "val_score", "val_mean_score", "val_cfg_dh_29g_any_severe"} <= {*history}
    assert np.isnan(history["val_cfg_dh_12y8_ss"]).all()  # the sagittal model reads no subarticular stenosis
    output = torch.load(folder / "val_data_seed3.pth", weights_only=True)
    assert output["logits"].shape == (10, 25, 3) and output["probabilities"].shape == (10, 3, 25, 3)
    combiner = load_combiner(tmp_path / "weights" / "cfg_mlp")
    given = {name: output["probabilities"][:, i].numpy() for i, name in enumerate(combiner.names)}
    np.testing.assert_allclose(combiner.combine(given), softmax(output["logits"]), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--oof", "bad.csv"], "bad.csv: unknown row_id"),
        (["--oof", "absent.csv"], "absent.csv: no such file"),
        (["--oof", "other.csv"], "other.csv: no row belongs to a labelled target"),
        (["--oof", "one_fold.csv"], "only fold"),
        (["--configs", "cfg_dh_29b"], "did you mean 'cfg_dh_29"),
        ([], "cfg_dh_12y8: no out-of-fold predictions"),
        (["--oof", "a.csv", "--labels", "folds.csv"], "folds.csv: lacks the column"),
        (["--oof", "a.csv", "--labels", "strangers.csv"], "no study_id in common"),
        (["--oof", "a.csv", "--folds", "words.csv"], "words.csv: 12 of 12 rows cannot be used, expected whole numbers"),
        (
            ["--oof", "a.csv", "--mlp_priors", "many"],
            "option --mlp_priors: expected a comma-separated list of a number",
        ),
    ],
)
def test_mistakes_are_one_line(tmp_path, script, monkeypatch, options, message):
    world = World(tmp_path, seed=6, studies=12)
    monkeypatch.chdir(tmp_path)
    rows = pd.read_csv(world.table("a", **GOOD))
    rows.assign(row_id="x_" + rows["row_id"]).to_csv("bad.csv", index=False)
    rows.assign(row_id="9" + rows["row_id"]).to_csv("other.csv", index=False)
    folds = pd.read_csv("folds.csv")
    first = folds.loc[folds["fold"] == 0, "study_id"].astype(str)
    rows[rows["row_id"].str.split("_").str[0].isin(first)].to_csv("one_fold.csv", index=False)
    folds.assign(fold="first").to_csv("words.csv", index=False)
    labels = pd.read_csv("train.csv")
    labels.assign(study_id=labels["study_id"] + 500).to_csv("strangers.csv", index=False)
    defaults = {"--labels": "train.csv", "--folds": "folds.csv"}
    words = [*options, *(word for pair in defaults.items() if pair[0] not in options for word in pair)]
    with pytest.raises(UserError, match=message.replace("(", r"\(")) as error:
        script.main(words)
    assert "\n" not in str(error.value)
