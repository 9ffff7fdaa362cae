from dataclasses import replace

import cv2
import numpy as np
import pytest

from lumbar.anatomy import SAGITTAL_T2
from lumbar.config import load_config
from lumbar.images.volumes import NAME
from lumbar.items.localiser_items import PointDataset
from lumbar.tables import META, read_table, write_table

SERIES = 910000011  # slices 1 to 8, 112 x 112


class EverySlice(PointDataset):
    def annotate(self, slices):
        points = np.full((len(slices), 2, 2), np.nan)
        points[:, 0] = (28, 56)
        return np.arange(len(slices)), points


@pytest.fixture
def make(mini, mini_folds):
    rows = mini_folds[mini_folds["series_id"] == SERIES]
    cfg = replace(load_config("cfg_dh_14p2_locsag"), data_dir=str(mini / "datamount"))
    return lambda neighbours=0: EverySlice(rows, cfg, None, "val", (SAGITTAL_T2,), neighbours)


def image(mini, instance):
    folder = mini / "datamount" / "train_images_v01" / "70010000" / str(SERIES)
    return cv2.imread(str(folder / f"{instance}.png"), cv2.IMREAD_GRAYSCALE)


def test_neighbours(make, mini):
    item = make(2)[1]
    assert item["instance_numbers"] == 2
    assert item["input"].shape == (5, 112, 112)
    assert not item["input"][0].any()  # before the first slice
    for channel in range(1, 5):
        assert np.array_equal(item["input"][channel].numpy(), image(mini, channel))
    assert not make(2)[7]["input"][3:].any()


def test_one_slice_alone(make, mini):
    item = make()[0]
    assert np.array_equal(item["input"].numpy(), image(mini, 1))


def test_points_and_masks(make):
    item = make()[0]
    assert item["target"].tolist() == [0.25, 0.5, 0.5, 0.5]
    assert item["target_mask"].tolist() == [1, 1, 0, 0]


def test_neighbours_are_next_in_the_series_whatever_their_number(make, mini):
    data = mini / "datamount"
    meta = read_table(data, META)
    write_table(meta[(meta["series_id"] != SERIES) | ~meta["instance_number"].isin([3, 4])], data, META)
    item = make(1)[1]
    assert item["instance_numbers"] == 2
    assert np.array_equal(item["input"][2].numpy(), image(mini, 5))


def test_a_neighbour_of_another_size_is_resized(make, mini):
    folder = mini / "datamount" / "train_images_v01" / "70010000" / str(SERIES)
    other = np.random.default_rng(0).integers(0, 256, (50, 200), dtype=np.uint8)
    cv2.imwrite(str(folder / "1.png"), other)
    (folder / NAME).unlink(missing_ok=True)
    item = make(1)[1]
    assert item["input"].shape == (3, 112, 112)
    wanted = cv2.resize(other, (112, 112), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(item["input"][0].numpy(), wanted)


def test_a_point_without_a_label_is_augmented_like_the_others(make):
    """It stands in the middle, and a draw that hides it is repeated too."""
    dataset, given = make(), []
    dataset.aug = lambda images, rng, points: given.append(points) or (images, points + np.array([11.2, 0]))
    item = dataset[0]
    np.testing.assert_array_equal(given[0], [[28, 56], [56, 56]])
    np.testing.assert_allclose(item["target"], [0.35, 0.5, 0.6, 0.5], rtol=1e-6)
    assert item["target_mask"].tolist() == [1, 1, 0, 0]
