from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from configs.cfg_mlp import cfg as mlp
from lumbar.anatomy import PARTS
from lumbar.cli import UserError
from lumbar.grades.oof import (
    align,
    check_overlap,
    from_weights,
    gather,
    model_names,
)
from lumbar.grades.scoring import softmax
from lumbar.grades.submission import write_predictions


def write_val_data(folder: Path, seed: int, rows: list[tuple[int, str, int, float]]) -> Path:
    """Write a classifier's validation output: rows of (study, part, level, logit of Severe)."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "study_id": torch.tensor([row[0] for row in rows]),
        "condition": torch.tensor([PARTS.index(row[1]) for row in rows]),
        "level": torch.tensor([row[2] for row in rows]),
        "logits": torch.tensor([[[0.0, 0.0, row[3]]] * 2 for row in rows]),
        "target": torch.zeros(len(rows), 2, dtype=torch.long),
    }
    path = folder / f"val_data_seed{seed}.pth"
    torch.save(content, path)
    return path


def folds(**study_folds: int) -> pd.DataFrame:
    return pd.DataFrame({"study_id": [int(name[1:]) for name in study_folds], "fold": list(study_folds.values())})


def test_align_reorders_and_marks_the_absent():
    found = np.arange(3 * 25 * 3, dtype=float).reshape(3, 25, 3)
    aligned = align(np.array([1, 5, 9]), np.array([4, 5, 9]), found)
    assert np.isnan(aligned[0]).all()
    assert np.array_equal(aligned[1:], found[1:])


def test_weights_are_read_fold_by_fold_with_logits_averaged_over_seeds(tmp_path):
    config = tmp_path / "cfg_dh_12y8"
    write_val_data(config / "fold0", 1, [(10, "scs", 0, 1.0), (11, "scs", 0, 2.0)])
    write_val_data(config / "fold0", 2, [(10, "scs", 0, 3.0)])  # this seed saw nothing of study 11
    write_val_data(config / "fold1", 1, [(5, "nfn", 4, 1.0)])
    write_val_data(config / "fold-1", 1, [(10, "scs", 0, 50.0)])  # trained on everyone: not out-of-fold
    study_id, found = from_weights(tmp_path, "cfg_dh_12y8", folds(s10=0, s11=0, s5=1, s6=1, s7=2))
    assert study_id.tolist() == [5, 6, 10, 11]  # fold 2 is not trained
    np.testing.assert_allclose(found[2, 0], softmax([0, 0, 2.0]))
    np.testing.assert_allclose(found[3, 0], softmax([0, 0, 2.0]))
    np.testing.assert_allclose(found[0, [9, 14]], softmax([[0, 0, 1.0]] * 2))
    assert (~np.isnan(found[..., 0])).sum() == 4


def test_each_config_goes_through_its_own_post_processing(tmp_path):
    rows = [(10, "scs", 2, 1.0)]
    for name in ("cfg_dh_12y8", "cfg_dh_29a2"):
        write_val_data(tmp_path / name / "fold0", 0, rows)
    _, sagittal = from_weights(tmp_path, "cfg_dh_12y8", folds(s10=0))
    _, axial = from_weights(tmp_path, "cfg_dh_29a2", folds(s10=0))
    assert np.isnan(sagittal[0, :5, 0]).tolist() == [True, True, False, True, True]
    assert not np.isnan(axial[0, :5]).any()  # levels are filled from the nearest
    assert np.isnan(axial[0, 5:]).all()


def test_outputs_of_other_folds_are_refused(tmp_path):
    write_val_data(tmp_path / "cfg_dh_12y8" / "fold0", 0, [(10, "scs", 0, 1.0)])
    with pytest.raises(UserError, match="predicts study 10, which is not in fold 0"):
        from_weights(tmp_path, "cfg_dh_12y8", folds(s9=0, s10=1))


def test_a_damaged_output_is_one_line(tmp_path):
    path = write_val_data(tmp_path / "cfg_dh_12y8" / "fold0", 0, [(10, "scs", 0, 1.0)])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged"):
        from_weights(tmp_path, "cfg_dh_12y8", folds(s10=0))


def test_gather_stacks_both_kinds_in_the_order_of_their_names(tmp_path):
    write_val_data(tmp_path / "cfg_dh_12y8" / "fold0", 0, [(10, "scs", 0, 1.0)])
    table = write_predictions(tmp_path / "other.csv", [12, 10], np.full((2, 25, 3), 1 / 3))
    cfg = replace(mlp, weights_dir=str(tmp_path), oof_configs=("cfg_dh_12y8",), oof=(str(table),))
    assert model_names(cfg) == ("cfg_dh_12y8", "other")
    study_id, probabilities = gather(cfg, folds(s12=1, s10=0, s11=1))
    assert study_id.tolist() == [10, 11, 12]
    assert probabilities.shape == (3, 2, 25, 3)
    assert np.isnan(probabilities[..., 0]).sum((2,)).tolist() == [[24, 0], [25, 25], [25, 0]]
    np.testing.assert_allclose(probabilities[0, 0, 0], softmax([0, 0, 1.0]))


def test_a_model_without_anything_labelled_is_named(tmp_path):
    cfg = replace(mlp, weights_dir=str(tmp_path), oof_configs=("cfg_dh_12y8",), oof=("b.csv",))
    nothing, something = np.full((2, 25, 3), np.nan), np.full((2, 25, 3), 1 / 3)
    grades = np.zeros((2, 25), dtype=np.int64)
    check_overlap(cfg, np.stack([something, something], 1), grades)
    with pytest.raises(UserError, match=r"cfg_dh_12y8: no out-of-fold predictions .*train it \(python train.py -C"):
        check_overlap(cfg, np.stack([nothing, something], 1), grades)
    with pytest.raises(UserError, match=r"b\.csv: no row belongs to a labelled target"):
        check_overlap(cfg, np.stack([something, nothing], 1), grades)
    with pytest.raises(UserError, match="cfg_dh_12y8"):
        check_overlap(cfg, np.stack([something, something], 1), np.full_like(grades, -100))


def test_names_must_tell_models_apart():
    with pytest.raises(UserError, match="two models are named 'a'"):
        model_names(replace(mlp, oof_configs=(), oof=("x/a.csv", "y/a.csv")))
    with pytest.raises(UserError, match="nothing to combine"):
        model_names(replace(mlp, oof_configs=()))


def test_groups_that_a_config_does_not_grade_are_no_answers(tmp_path):
    """Of cfg_dh_29a2 the subarticular grades count, those of levels between which it filled among them."""
    write_val_data(tmp_path / "cfg_dh_29a2" / "fold0", 1, [(5, "ss", 1, 3.0)])
    study_id, found = from_weights(tmp_path, "cfg_dh_29a2", folds(s5=0, s6=0))
    assert study_id.tolist() == [5, 6]
    assert np.isnan(found[0, :15]).all()
    assert (found[0, 15:, 2] > 0.9).all()
    assert np.isnan(found[1]).all()  # a study without any axial row
