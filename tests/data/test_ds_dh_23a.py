"""The random stretch of a sequence, and the items that yield no row."""

import numpy as np
import pytest
import torch

from data.ds_dh_23a import random_stretch, tr_collate_fn
from lumbar.anatomy import LEVELS
from lumbar.config import Config
from lumbar.engine.batches import training_batches
from lumbar.tables import AXIAL_LEVELS, read_table, write_table


@pytest.mark.parametrize("length", [1, 2, 5, 11, 20])
def test_lengths_are_rounded_up_from_a_uniform_share(length):
    """Of n slices, ceil(n x U(0.5, 0.9)): k of them with the share of (0.5, 0.9) where k - 1 < n x <= k."""
    rng, draws = np.random.default_rng(0), 4000
    found = np.bincount(
        [len(random_stretch(np.arange(length), Config().stretch, rng)) for _ in range(draws)], minlength=length + 1
    )
    k = np.arange(length + 1)
    ends = np.clip([(k - 1) / length, k / length], 0.5, 0.9)
    expected = (ends[1] - ends[0]) / 0.4
    np.testing.assert_allclose(found / draws, expected, atol=4.5 * np.sqrt(expected * (1 - expected) / draws).max())


def test_every_start_is_as_likely():
    rng = np.random.default_rng(1)
    stretches = [random_stretch(np.arange(10), (0.5, 0.9), rng) for _ in range(6000)]
    assert all((np.diff(stretch) == 1).all() for stretch in stretches)
    starts = np.bincount([stretch[0] for stretch in stretches if len(stretch) == 7])
    assert len(starts) == 4
    np.testing.assert_allclose(starts / starts.sum(), 0.25, atol=0.06)


@pytest.mark.parametrize("config", ["cfg_dh_29a2", "cfg_dh_29g"])
def test_a_level_on_no_axial_slice_is_a_training_item_without_a_row(config, make_dataset, mini):
    keys = {"parts": ("ss",)}
    complete = make_dataset(config, "train", **keys)
    data = mini / "datamount"
    mapping = read_table(data, AXIAL_LEVELS)
    far = mapping["level"] == LEVELS[4]
    mapping.loc[far, "distance"] = mapping.loc[far, "distance"].map(lambda values: [3.0 + value for value in values])
    write_table(mapping, data, AXIAL_LEVELS)
    unmapped, mapped = (make_dataset(config, "train", unmapped_items=value, **keys) for value in (True, False))
    assert len(unmapped) == len(complete) > len(mapped)
    empty = [index for index in range(len(unmapped)) if not unmapped[index]]
    assert np.flatnonzero(unmapped.empty_items).tolist() == empty
    assert len(unmapped) - len(empty) == len(mapped)
    assert not mapped.empty_items.any()
    assert len(unmapped.sample_weights) == len(unmapped)
    assert not make_dataset(config, "val", **keys).empty_items.any()


def test_sagittal_levels_of_every_threshold_count(make_dataset):
    """A threshold that no series reaches leaves the axial items alone."""
    high = {"parts": ("ss",)} | {f"filter_logits_mask_thresh_sag_{kind}": 9.0 for kind in ("t1", "t2")}
    dataset = make_dataset("cfg_dh_29a2", "train", **high)
    assert not dataset.empty_items.any()
    assert len(dataset) == len(make_dataset("cfg_dh_29a2", "train", parts=("ss",), unmapped_items=False))


def test_a_batch_always_has_a_row(make_dataset, mini):
    data = mini / "datamount"
    mapping = read_table(data, AXIAL_LEVELS)
    write_table(mapping[mapping["series_id"].isin(mapping["series_id"].unique()[:2])], data, AXIAL_LEVELS)
    dataset = make_dataset("cfg_dh_29a2", "train", batch_size=2, parts=("ss",))
    assert dataset.empty_items.mean() > 0.5
    for batch in training_batches(dataset.cfg, dataset, 0, 1):
        assert len(tr_collate_fn([dataset[index] for index in batch])["input"])


def test_sagittal_sequences_are_shortened_but_neither_reversed_nor_filtered(make_dataset):
    training, validation = (make_dataset("cfg_dh_29a2", mode, parts=("nfn", "scs")) for mode in ("train", "val"))
    assert all((training.target[part] == validation.target[part]).all() for part in ("nfn", "scs"))
    shorter = 0
    for index in range(len(training)):
        whole = {int(row["series_id"]): row for row in validation[index]}
        for row in training[index]:
            numbers, all_numbers = (each["instance_numbers"].tolist() for each in (row, whole[int(row["series_id"])]))
            assert numbers == all_numbers[all_numbers.index(numbers[0]) :][: len(numbers)]
            assert torch.equal(row["target"], whole[int(row["series_id"])]["target"])
            shorter += len(numbers) < len(all_numbers)
    assert shorter > 0.8 * len(training)
