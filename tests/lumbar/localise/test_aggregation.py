import json
import os

import numpy as np
import pytest
import torch

from lumbar.cli import UserError
from lumbar.engine.runs import Run
from lumbar.localise.aggregation import (
    axial_points,
    common_value,
    find_outputs,
    join_folds,
    sagittal_points,
)
from lumbar.tables import META, read_table

AXIAL, SAGITTAL = "cfg_dh_05b5_loc_test2", "cfg_dh_14p2_locsag_test"


def save(folder, seed=1, objective=None, series=(5, 5), instances=(1, 2), columns=4, value=0.5, **more):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"val_data_seed{seed}.pth"
    content = {
        "series_id": torch.tensor(series),
        "instance_number": torch.tensor(instances),
        "logits": torch.full((len(series), columns), value),
    }
    torch.save(content | more, path)
    if objective is not None:
        (folder / f"config_seed{seed}.json").write_text(json.dumps({"config": {"mask_objective": objective}}))
    return Run(folder, seed)


def test_the_newest_seed_unless_told(tmp_path, caplog):
    caplog.set_level("INFO")
    old, new = (save(tmp_path / AXIAL / "fold0", seed) for seed in (30, 4))
    os.utime(old.val_data, (1, 1))
    assert find_outputs(tmp_path, AXIAL, [0], -1, False) == [new]
    assert f"fold 0: {new.val_data}, the newest of 2" in caplog.text
    assert find_outputs(tmp_path, AXIAL, [0], 30, False) == [old]


def test_all_seeds_where_that_is_wanted(tmp_path, caplog):
    caplog.set_level("INFO")
    both = [save(tmp_path / AXIAL / "fold0", seed, value=value) for seed, value in ((30, 0.25), (4, 0.75))]
    found = find_outputs(tmp_path, AXIAL, [0], -1, False, all_seeds=True)
    assert sorted(found) == sorted(both)
    assert axial_points([run.val_data for run in found])["x_left"].tolist() == [0.5, 0.5]
    assert str(both[0].val_data) in caplog.text and str(both[1].val_data) in caplog.text
    assert find_outputs(tmp_path, AXIAL, [0], 30, False, all_seeds=True) == both[:1]


def test_missing_folds_are_named(tmp_path):
    save(tmp_path / AXIAL / "fold1")
    with pytest.raises(UserError, match=r"cfg_dh_05b5_loc_test2: no output of fold 0, 2; .*--allow-missing"):
        find_outputs(tmp_path, AXIAL, [0, 1, 2], -1, False)
    with pytest.raises(UserError, match="no output of seed 9 of fold 1"):
        find_outputs(tmp_path, AXIAL, [1], 9, False)
    assert len(find_outputs(tmp_path, AXIAL, [0, 1, 2], -1, True)) == 1
    with pytest.raises(UserError, match="no output of fold 0, 2"):
        find_outputs(tmp_path, AXIAL, [0, 2], -1, True)


def test_the_fold_of_all_patients_is_refused(tmp_path):
    save(tmp_path / AXIAL / "fold-1")
    with pytest.raises(UserError, match="fold -1 trained on every patient"):
        find_outputs(tmp_path, AXIAL, [0, -1], -1, True)


def test_a_slice_in_several_folds_gets_the_mean(tmp_path):
    outputs = [save(tmp_path / "a", value=0.25), save(tmp_path / "b", value=0.75, instances=(2, 3))]
    rows = axial_points([run.val_data for run in outputs])
    assert rows["instance_number"].tolist() == [1, 2, 3]
    assert rows["x_left"].tolist() == [0.25, 0.5, 0.75]


def test_predictions_that_are_not_finite_are_left_out(tmp_path, caplog):
    broken = torch.full((2, 4), 0.5)
    broken[1, 2] = torch.nan
    assert join_folds([save(tmp_path, logits=broken).val_data], list("abcd"))["instance_number"].tolist() == [1]
    assert "1 of 2 predictions are not finite" in caplog.text


@pytest.mark.parametrize("content", [
    {"logits": torch.zeros(2, 3)}, {"instance_number": torch.zeros(3)}, {"logits": [1, 2]},
])  # fmt: skip
def test_another_kind_of_output(tmp_path, content):
    with pytest.raises(UserError, match="is not a localiser's output of 4 numbers per slice"):
        axial_points([save(tmp_path, **content).val_data])


def test_a_damaged_file(tmp_path):
    (tmp_path / "val_data_seed1.pth").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"val_data_seed1\.pth: not a file of tensors"):
        axial_points([tmp_path / "val_data_seed1.pth"])


def test_mask_objective(tmp_path):
    bce, published, unknown = (
        save(tmp_path / SAGITTAL / f"fold{n}", objective=o) for n, o in enumerate(("bce", "l1", None))
    )
    key = "mask_objective"
    assert common_value([bce, bce], key, None) == "bce"
    assert common_value([unknown, published], key, None) == "l1"
    assert common_value([bce, published], key, "bce") == "bce"
    with pytest.raises(UserError, match=r"the folds differ in mask_objective.*--mask-objective"):
        common_value([bce, unknown], key, None)


@pytest.fixture
def meta(mini_source):
    return read_table(mini_source / "datamount", META)


def sagittal_output(folder, **changes):
    arguments = {"series": (910000000, 910001000), "instances": (21, 1), "columns": 10, "value": 0.5,
                 "logits_mask": torch.tensor([[0.0], [2.0]])}  # fmt: skip
    return save(folder, **arguments | changes).val_data


def test_level_points_in_pixels(tmp_path, meta):
    logits = torch.arange(20).reshape(2, 10) / 20
    rows = sagittal_points([sagittal_output(tmp_path, logits=logits)], meta, "l1")
    assert len(rows) == 10
    first, last = rows.iloc[0].to_dict(), rows.iloc[-1].to_dict()
    assert first == {"instance_number": 21, "series_id": 910000000, "study_id": 70010000, "level": "l1_l2",
                     "logits_mask": 0, "x": 0, "y": 6, "img_w": 120, "img_h": 120}  # fmt: skip
    assert (last["level"], last["x"], last["y"], last["img_w"], last["img_h"]) == ("l5_s1", 86, 114, 96, 120)
    assert last["logits_mask"] == 2


def test_probabilities_with_bce(tmp_path, meta):
    rows = sagittal_points([sagittal_output(tmp_path)], meta, "bce")
    assert rows["logits_mask"].unique().tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-2))])


def test_slices_that_the_metadata_lacks(tmp_path, meta, caplog):
    rows = sagittal_points([sagittal_output(tmp_path, instances=(21, 99))], meta, "bce")
    assert rows["series_id"].unique().tolist() == [910000000]
    assert "the metadata lacks 1 of 2 slices" in caplog.text
    with pytest.raises(UserError, match="none of its slices is in the metadata"):
        sagittal_points([sagittal_output(tmp_path, instances=(98, 99))], meta, "bce")


def test_a_sagittal_output_needs_its_mask(tmp_path, meta):
    with pytest.raises(UserError, match="has no logits_mask"):
        sagittal_points([save(tmp_path, columns=10).val_data], meta, "bce")
