"""What the published code does not show: augmentation, missing tables, determinism, decisions."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from data import ds_dh_12s3, ds_dh_23a
from data.ds_dh_12s3 import check_centring
from lumbar.anatomy import LEVELS, TARGETS
from lumbar.cli import UserError
from lumbar.tables import AXIAL_LEVELS, SAGITTAL_LABELS, SAGITTAL_XY, read_table, write_table

ALL = ["cfg_dh_05b5_loc", "cfg_dh_05b5_loc_test2", "cfg_dh_14p2_locsag", "cfg_dh_14s10a_locsag", "cfg_dh_12y8",
       "cfg_dh_29a2", "cfg_dh_29g"]  # fmt: skip
NEW_STUDIES = [config for config in ALL if config != "cfg_dh_05b5_loc"]


def flat(item):
    return item if isinstance(item, list) else [item]


def equal(one, other):
    pairs = zip(flat(one), flat(other), strict=True)
    return all(a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) for a, b in pairs)


@pytest.mark.parametrize("config", ALL)
def test_training_items_depend_on_seed_epoch_and_index_alone(config, make_dataset):
    dataset, again, other = (make_dataset(config, "train", seed=seed) for seed in (5, 5, 6))
    first = [dataset[index] for index in range(6)]
    assert all(equal(again[index], first[index]) for index in reversed(range(6)))
    assert not all(equal(other[index], first[index]) for index in range(6))
    again.epoch = 1
    assert not all(equal(again[index], first[index]) for index in range(6))


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers, make_dataset):
    dataset = make_dataset("cfg_dh_29a2", "train", unmapped_items=False)
    dataset.epoch = 3
    alone, shared = (
        list(DataLoader(dataset, batch_size=4, collate_fn=ds_dh_23a.tr_collate_fn, num_workers=count))
        for count in (0, workers)
    )
    assert len(alone) == len(shared)
    assert all(equal(one, other) for one, other in zip(alone, shared, strict=True))


@pytest.mark.parametrize("config", ALL)
def test_training_shapes(config, make_dataset):
    dataset = make_dataset(config, "train")
    width = 64 if "05b5" in config else 48
    for row in (row for index in range(len(dataset)) for row in flat(dataset[index])):
        assert row["input"].shape[-2:] == (64, width)
        assert row["input"].dtype == torch.uint8


@pytest.mark.parametrize("config", NEW_STUDIES)
def test_without_label_files_targets_are_missing_and_nothing_else_changes(config, make_dataset, mini, mini_folds):
    wanted = make_dataset(config, "val", full_test_set=True)
    for name in ("train_label_coordinates.csv", SAGITTAL_LABELS.path):
        (mini / "datamount" / name).unlink()
    new = make_dataset(config, "test", df=mini_folds[["study_id", "series_id", "series_description"]])
    assert len(new) == len(wanted)
    labels = {"target", "target_mask", "input_mask", "nfn_label", "scs_label"}
    for index in range(0, len(new), 7):
        for row, labelled in zip(flat(new[index]), flat(wanted[index]), strict=True):
            assert row.keys() == labelled.keys()
            assert all(torch.equal(row[key], labelled[key]) for key in row.keys() - labels)
            if "target_mask" in row:
                assert not row["target_mask"].any()
            else:
                assert all((row[key] == -100).all() for key in row.keys() & labels)


def test_a_missing_label_file_is_an_error_when_it_is_needed(make_dataset, mini):
    (mini / "datamount" / SAGITTAL_LABELS.path).unlink()
    with pytest.raises(UserError, match=r"shifted_spinenet_v02.csv.gz: no such file.*make_sag_loc_labels_part2"):
        make_dataset("cfg_dh_14p2_locsag", "val")


def test_no_annotated_axial_slice_makes_an_empty_dataset(make_dataset, mini):
    path = mini / "datamount" / "train_label_coordinates.csv"
    marks = pd.read_csv(path)
    marks[~marks["condition"].str.contains("Subarticular")].to_csv(path, index=False)
    assert len(make_dataset("cfg_dh_05b5_loc", "train")) == 0


def test_two_points_of_one_side_on_one_slice_count_as_their_mean(make_dataset, mini):
    path = mini / "datamount" / "train_label_coordinates.csv"
    marks = pd.read_csv(path)
    mark = marks[(marks["series_id"] == 910000022) & (marks["instance_number"] == 2)].iloc[0]
    assert mark["condition"] == "Left Subarticular Stenosis"
    second = pd.DataFrame([{**mark.to_dict(), "level": "L2/L3", "x": mark["x"] + 4, "y": mark["y"] - 2}])
    pd.concat([marks, second]).to_csv(path, index=False)
    target = make_dataset("cfg_dh_05b5_loc", "val")[0]["target"]
    np.testing.assert_allclose(target[:2], [(mark["x"] + 2) / 104, (mark["y"] - 1) / 104], rtol=1e-6)


def test_slices_without_label_are_items_and_series_without_labels_only_with_full_test_set(make_dataset, mini):
    data = mini / "datamount"
    labels = read_table(data, SAGITTAL_LABELS)
    write_table(labels[labels["series_id"] != 910000000], data, SAGITTAL_LABELS)
    some, every = (make_dataset("cfg_dh_14p2_locsag", "val", full_test_set=full) for full in (False, True))
    assert len(every) - len(some) == 9
    masked = every[0]
    assert masked["series_id"] == 910000000
    assert not masked["target_mask"].any()
    assert masked["input_mask"] == pytest.approx(0.01)


def test_share_of_annotated_levels_is_the_mask_target(make_dataset, mini):
    data = mini / "datamount"
    labels = read_table(data, SAGITTAL_LABELS)
    gone = (labels["series_id"] == 910000000) & (labels["instance_number"] == 22) & labels["level"].isin(LEVELS[:2])
    write_table(labels[~gone], data, SAGITTAL_LABELS)
    item = make_dataset("cfg_dh_14p2_locsag", "val")[1]
    assert item["instance_numbers"] == 22
    assert item["target_mask"].tolist() == [0] * 4 + [1] * 6
    assert item["input_mask"] == pytest.approx(0.6)


def test_training_reverses_foraminal_sequences_with_their_labels(make_dataset):
    still, moved = make_dataset("cfg_dh_12y8", "val"), make_dataset("cfg_dh_12y8", "train")
    moved.aug = None
    usual = {(int(row["series_id"]), int(row["level_num"])): row for i in range(len(still)) for row in still[i]}
    reversed_rows = 0
    epochs = 12
    for moved.epoch in range(epochs):
        for row in (row for i in range(len(moved)) for row in moved[i]):
            wanted = usual[int(row["series_id"]), int(row["level_num"])]
            if torch.equal(row["instance_numbers"], wanted["instance_numbers"]):
                assert torch.equal(row["input"], wanted["input"])
                continue
            assert row["condition"] == 0
            reversed_rows += 1
            for key in ("input", "instance_numbers", "slicelocation"):
                assert torch.equal(row[key], wanted[key].flip(0)), key
    foraminal = epochs * 40
    assert 0.4 * foraminal < reversed_rows < 0.6 * foraminal  # a half, and 4.4 standard errors


def test_reversal_swaps_left_and_right(make_dataset):
    dataset = make_dataset("cfg_dh_12y8", "train", parts=("nfn",))
    dataset.target["nfn"][:] = [1, 2]
    forward = make_dataset("cfg_dh_12y8", "val", parts=("nfn",))
    seen = set()
    for index in range(len(dataset)):
        row = dataset[index][0]
        same = next(other for other in forward[index] if other["series_id"] == row["series_id"])
        mirrored = not torch.equal(row["instance_numbers"], same["instance_numbers"])
        assert row["target"].tolist() == ([2, 1] if mirrored else [1, 2])
        seen.add(mirrored)
    assert seen == {True, False}


def test_mirroring_turns_axial_sequences_over_with_their_left_and_right_grades(make_dataset):
    keys = {"unmapped_items": False}
    plain, mirrored = (make_dataset("cfg_dh_29g", "train", mirror=mirror, **keys) for mirror in (False, True))
    for dataset in (plain, mirrored):
        dataset.aug = None
        dataset.target["ss"][:] = [0, 2]
    turned = 0
    for index in range(len(plain)):
        (before,), (after,) = plain[index], mirrored[index]
        for key in ("instance_numbers", "scs_label", "level_num"):
            assert torch.equal(before[key], after[key]), key
        if torch.equal(before["input"], after["input"]):
            assert after["target"].tolist() == [0, 2]
            continue
        turned += 1
        assert torch.equal(after["input"], before["input"].flip(2))
        assert after["target"].tolist() == [2, 0]
        assert torch.equal(after["nfn_label"], before["nfn_label"].flip(0))
    assert 0.2 * len(plain) < turned < 0.8 * len(plain)


def test_training_draws_one_series_per_condition_and_validation_reads_all(make_dataset):
    training, validation = make_dataset("cfg_dh_12y8", "train"), make_dataset("cfg_dh_12y8", "val")
    study = next(i for i in range(len(validation)) if len(validation[i]) == 3)
    assert [int(row["condition"]) for row in validation[study]] == [0, 0, 1]
    chosen = set()
    for training.epoch in range(12):
        rows = training[study]
        assert [int(row["condition"]) for row in rows] == [0, 1]
        chosen.add(int(rows[0]["series_id"]))
    assert chosen == {910006000, 910006033}


def test_training_takes_a_contiguous_stretch_of_axial_sequences(make_dataset):
    keys = {"parts": ("ss",), "unmapped_items": False}
    training, validation = (make_dataset("cfg_dh_29a2", mode, **keys) for mode in ("train", "val"))
    for index in range(len(training)):
        whole, part = (dataset[index][0]["instance_numbers"].tolist() for dataset in (validation, training))
        assert math.ceil(0.5 * len(whole)) <= len(part) <= math.ceil(0.9 * len(whole))
        assert part == whole[whole.index(part[0]) :][: len(part)]


def test_points_off_the_middle_of_their_box_take_their_label_with_them(make_dataset, mini):
    path = mini / "datamount" / "train_label_coordinates.csv"
    before = make_dataset("cfg_dh_12y8", "train").target["nfn"]
    marks = pd.read_csv(path)
    wrong = (marks["series_id"] == 910000000) & (marks["level"] == "L3/L4") & marks["condition"].str.startswith("Left")
    marks.loc[wrong, "x"] = 119
    marks.to_csv(path, index=False)
    dataset = make_dataset("cfg_dh_12y8", "train")
    sequences, target = dataset.sequences["nfn"], dataset.target["nfn"]
    (number,) = np.flatnonzero((sequences.series_id == 910000000) & (sequences.level == 2))
    assert before[number].tolist() == [0, 0]
    assert target[number].tolist() == [-100, 0]
    kept = np.arange(len(target)) != number
    assert (target[kept] == before[kept]).all()


@pytest.mark.parametrize(("x", "trusted"), [(150, True), (165, False)])
def test_a_box_counts_with_what_it_has_beyond_the_right_edge(x, trusted, make_dataset, mini):
    """The slice is 120 px wide and the box reaches from 60 to 180: its middle part ends at 156, not at 108."""
    dataset = make_dataset("cfg_dh_12y8", "train")
    sequences = dataset.sequences["nfn"]
    (number,) = np.flatnonzero((sequences.series_id == 910000000) & (sequences.level == 2))
    sequences.box[number] = [60, 60, 180, 180]
    points = dataset.read_human_points()
    left = (points["series_id"] == 910000000) & (points["level"] == 2) & (points["side"] == 0)
    points.loc[left, ["x", "y"]] = [x, 120]
    _, target = check_centring(sequences, dataset.target["nfn"], points[left], "nfn")
    assert (target[number, 0] == 0) == trusted


def test_a_click_into_the_corner_is_no_target_of_the_axial_localiser(make_dataset, mini, caplog):
    path = mini / "datamount" / "train_label_coordinates.csv"
    before = make_dataset("cfg_dh_05b5_loc", "val")
    marks = pd.read_csv(path)
    first = marks.index[marks["condition"] == "Left Subarticular Stenosis"][0]
    series, number = marks.loc[first, ["series_id", "instance_number"]]
    marks.loc[first, ["x", "y"]] = [2.0, 2.0]
    marks.to_csv(path, index=False)
    after = make_dataset("cfg_dh_05b5_loc", "val")
    (item,) = [n for n in range(len(before)) if before.slices.series_id[before.rows[n]] == series
               and before.slices.instance[before.rows[n]] == number]  # fmt: skip
    assert "1 human points are left out, being in a corner of its image" in caplog.text
    assert before[item]["target_mask"].tolist() == [1, 1, 1, 1]
    assert after[item]["target_mask"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("part", "series", "off", "left_out"), [
    ("nfn", 910004000, 6, False), ("nfn", 910004000, 7, True),
    ("scs", 910001011, 3, False), ("scs", 910001011, 4, True),
])  # fmt: skip
def test_series_with_many_points_off_the_middle_are_left_out(part, series, off, left_out, make_dataset, mini):
    path = mini / "datamount" / "train_label_coordinates.csv"
    marks = pd.read_csv(path)
    marks.loc[marks.index[marks["series_id"] == series][:off], "y"] = -50
    marks.to_csv(path, index=False)
    assert (series not in make_dataset("cfg_dh_12y8", "train").sequences[part].series_id) == left_out
    assert series in make_dataset("cfg_dh_12y8", "val").sequences[part].series_id


def test_axial_items_with_sagittal_labels(make_dataset, mini_folds):
    dataset = make_dataset("cfg_dh_29g", "val")
    codes = {"Normal/Mild": 0, "Moderate": 1, "Severe": 2}
    rows = {(int(row["study_id"]), int(row["level_num"])): row for i in range(len(dataset)) for row in dataset[i]}
    studies = mini_folds.drop_duplicates("study_id").set_index("study_id")[list(TARGETS)].map(codes.get)
    for (study, level), row in rows.items():
        wanted = [
            studies.loc[study, f"{side}_neural_foraminal_narrowing_{LEVELS[level]}"] for side in ("left", "right")
        ]
        assert row["condition"] == 2
        assert row["nfn_label"].tolist() == [-100 if np.isnan(grade) else grade for grade in wanted]
    two_t1 = rows[70010822, 3]
    assert two_t1["nfn_series_id"] == 910006000
    assert two_t1["scs_series_id"] == 910006011
    no_t2 = rows[70010685, 3]
    assert no_t2["scs_series_id"] == 999999999
    assert no_t2["scs_label"].tolist() == [-100]
    assert no_t2["nfn_series_id"] == 910005000


def test_left_is_up_in_axial_crops(make_dataset, mini):
    from lumbar.images.volumes import NAME

    folder = mini / "datamount" / "train_images_v04" / "70010000" / "910000022"
    import cv2

    for path in folder.glob("*.png"):
        image = np.zeros((104, 104), np.uint8)
        image[:, 54:] = 200  # x beyond the middle of the box: the patient's left
        cv2.imwrite(str(path), image)
    (folder / NAME).unlink(missing_ok=True)
    image = make_dataset("cfg_dh_29a2", "val", parts=("ss",))[0][0]["input"][0, 0].float()
    assert image[:20].mean() > 190
    assert image[-20:].mean() < 10


def test_padding_reaches_only_the_longest_row_of_the_batch(make_dataset):
    dataset = make_dataset("cfg_dh_12y8", "val")
    items = [dataset[index] for index in range(20)]
    rows = [row for item in items for row in item]
    lengths = [len(row["input"]) for row in rows]
    batch = ds_dh_12s3.val_collate_fn(items)
    assert batch["input"].shape == (len(rows), max(lengths), 1, 64, 64)
    assert batch["mask"].sum(1).tolist() == lengths
    for number, row in enumerate(rows):
        for key in ("input", "instance_numbers", "slicelocation"):
            assert torch.equal(batch[key][number, : lengths[number]], row[key])
            assert not batch[key][number, lengths[number] :].any()


def test_crops_scale_with_slices_of_another_size(make_dataset, mini):
    import cv2

    from lumbar.tables import META

    data = mini / "datamount"
    before = {
        (int(row["series_id"]), int(row["level_num"])): row["input"] for row in make_dataset("cfg_dh_12y8", "val")[0]
    }
    path = data / "train_images_v01" / "70010000" / "910000000" / "25.png"
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path), 0), (240, 240), interpolation=cv2.INTER_CUBIC))
    meta, points = read_table(data, META), read_table(data, SAGITTAL_XY)
    meta.loc[(meta["series_id"] == 910000000) & (meta["instance_number"] == 25), ["img_w", "img_h"]] = 240
    changed = (points["series_id"] == 910000000) & (points["instance_number"] == 25)
    points.loc[changed, ["img_w", "img_h"]] = 240
    points.loc[changed, ["x", "y"]] *= 2
    write_table(meta, data, META)
    write_table(points, data, SAGITTAL_XY)
    for row in make_dataset("cfg_dh_12y8", "val")[0]:
        difference = (row["input"].float() - before[int(row["series_id"]), int(row["level_num"])].float()).abs()
        assert difference.mean() < 2


def test_levels_without_a_close_axial_slice_are_left_out(make_dataset, mini):
    data = mini / "datamount"
    mapping = read_table(data, AXIAL_LEVELS)
    lowest = (mapping["series_id"] == 910000022) & (mapping["level"] == "l5_s1")
    mapping.loc[lowest, "distance"] = mapping.loc[lowest, "distance"].map(
        lambda values: [3.0 + value for value in values]
    )
    write_table(mapping, data, AXIAL_LEVELS)
    sequences = make_dataset("cfg_dh_29a2", "val", parts=("ss",)).sequences["ss"]
    assert sequences.level[sequences.series_id == 910000022].tolist() == [2, 3]


def test_weights_for_sampling(make_dataset):
    dataset = make_dataset("cfg_dh_12y8", "train")
    weights = dataset.sample_weights
    assert weights.shape == (len(dataset),)
    assert set(weights) == {1.0, 2.0, 4.0}
    for index in range(len(dataset)):
        worst = max(int(row["target"].max()) for row in dataset[index])
        assert weights[index] == {0: 1, 1: 2, 2: 4, -100: 1}[worst]


def test_a_missing_slice_is_left_out_and_counted(make_dataset, mini, caplog):
    (mini / "datamount" / "train_images_v01" / "70010000" / "910000022" / "4.png").unlink()
    assert len(make_dataset("cfg_dh_05b5_loc_test2", "val")) == 148
    assert "lacks 1 of 149 slices" in caplog.text


def test_an_empty_cache_is_an_error_that_says_what_to_run(make_dataset):
    with pytest.raises(UserError, match=r"train_images_v09.*scripts/prepare\.py"):
        make_dataset("cfg_dh_12y8", "val", cache="train_images_v09")


def test_mode_is_checked(make_dataset):
    dataset = make_dataset("cfg_dh_12y8", "val")
    with pytest.raises(ValueError, match="mode must be train, val or test, got 'valid'"):
        type(dataset)(pd.DataFrame(), replace(dataset.cfg), None, "valid")
