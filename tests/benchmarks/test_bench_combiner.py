import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lumbar.grades.class_shares import class_shares
from lumbar.grades.scoring import PART_COLUMNS, score_parts
from lumbar.grades.submission import read_predictions

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def sets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("out_of_fold_sets", BENCHMARKS / "out_of_fold_sets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(4))
def test_a_set_looks_like_the_real_tables(sets: ModuleType, seed: int) -> None:
    drawn = sets.OutOfFoldSet(seed)
    tables = np.stack(list(drawn.tables.values()), 1)
    assert tables.shape == (1975, 7, 25, 3) and np.bincount(drawn.fold).tolist() == [395] * 5
    predicts = np.stack([~np.isnan(tables[:, :, columns, 0]).all((0, 2)) for columns in PART_COLUMNS.values()])
    assert set(predicts.sum(1)) <= {2, 3} and set(predicts.sum(0)) <= {1, 2}
    mean = np.nanmean(np.where(np.isnan(tables).all(1, keepdims=True), class_shares(), tables), axis=1)
    assert 0.37 < np.mean(list(score_parts(mean, drawn.grades).values())) < 0.41
    assert np.array_equal(drawn.grades, sets.OutOfFoldSet(seed).grades)


def test_written_tables_are_read_as_they_were_drawn(sets: ModuleType, tmp_path: Path) -> None:
    drawn = sets.OutOfFoldSet(0, studies=30)
    for path, table in zip(drawn.write(tmp_path), drawn.tables.values(), strict=True):
        study_id, read = read_predictions(path)
        known = np.isin(drawn.study_id, study_id)
        np.testing.assert_allclose(read, table[known], atol=1e-9)
        assert np.isnan(table[~known]).all()


@pytest.mark.slow
def test_it_prints_gains_and_seconds() -> None:
    command = [sys.executable, str(BENCHMARKS / "bench_combiner.py"), "--sets", "2", "--studies", "100"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("mean of models 0.") >= 3
    assert "standard error" in result.stdout and "s of processor time" in result.stdout
