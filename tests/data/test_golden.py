"""Every dataset in validation mode gives what the published data code gave on the tiny competition."""

import numpy as np
import pytest
import torch

from data import ds_dh_4a2, ds_dh_11g, ds_dh_11n4, ds_dh_12s3, ds_dh_23a, ds_dh_23j
from lumbar.anatomy import PARTS

CONFIGS = {
    "ds_dh_4a2": "cfg_dh_05b5_loc",
    "ds_dh_4a3": "cfg_dh_05b5_loc_test2",
    "ds_dh_11g": "cfg_dh_14p2_locsag",
    "ds_dh_11n4": "cfg_dh_14s10a_locsag",
    "ds_dh_12s3": "cfg_dh_12y8",
    "ds_dh_23a": "cfg_dh_29a2",
}


def rows_of(dataset):
    """All rows, in the order of the golden files."""
    items = [dataset[index] for index in range(len(dataset))]
    rows = [row for item in items for row in (item if isinstance(item, list) else [item])]
    return sorted(rows, key=lambda row: (int(row["series_id"]), int(row.get("level_num", 0)),
                                         int(row["instance_numbers"].reshape(-1)[0])))  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_published_items(name, make_dataset, mini_source):
    # The numbers were made with all three groups of ds_dh_23a, of which its config reads one.
    rows = rows_of(make_dataset(CONFIGS[name], "val", **({"parts": PARTS} if name == "ds_dh_23a" else {})))
    with np.load(mini_source / "expected" / f"{name}.npz") as file:
        expected = dict(file)
    assert len(rows) == expected["n"]
    for number, row in enumerate(rows):
        keys = {key.split("/")[1] for key in expected if key.startswith(f"{number}/")}
        assert row.keys() == keys - {"input_shape", "input_mean", "input_probe"} | {"input"}
        image = row["input"].numpy()
        assert image.dtype == np.uint8
        assert image.shape == tuple(expected[f"{number}/input_shape"])
        probe = image.ravel()[:: max(1, image.size // 97)].astype(float)
        assert np.abs(probe - expected[f"{number}/input_probe"]).max() <= 2
        assert image.mean() == pytest.approx(expected[f"{number}/input_mean"], abs=0.1)
        compared = row.keys() - {"input"}
        if name == "ds_dh_4a3":  # its dummy targets are masked here, and were not
            compared -= {"target", "target_mask"}
            assert not row["target_mask"].any()
        for key in compared:
            wanted = expected[f"{number}/{key}"]
            assert row[key].numpy().dtype == wanted.dtype, key
            np.testing.assert_allclose(row[key].numpy(), wanted, atol=1e-6, err_msg=f"row {number}, {key}")


GOLDEN_BATCHES = {
    "mdl_dh_4a2": (ds_dh_4a2, "cfg_dh_05b5_loc"),
    "mdl_dh_4b2": (ds_dh_11g, "cfg_dh_14p2_locsag"),
    "mdl_dh_4h4": (ds_dh_11n4, "cfg_dh_14s10a_locsag"),
    "mdl_dh_12a4": (ds_dh_12s3, "cfg_dh_12y8"),
    "mdl_dh_23a": (ds_dh_23a, "cfg_dh_29a2"),
    "mdl_dh_23c": (ds_dh_23j, "cfg_dh_29g"),
}


@pytest.mark.parametrize("model", GOLDEN_BATCHES)
def test_batches_have_the_keys_shapes_and_types_of_the_published_ones(model, make_dataset, request):
    module, config = GOLDEN_BATCHES[model]
    dataset = make_dataset(config, "val")
    batch = module.val_collate_fn([dataset[index] for index in range(3)])
    assert module.batch_to_device(batch, torch.device("cpu")).keys() == batch.keys()
    with np.load(request.config.rootpath / "tests" / "golden" / f"{model}.npz") as file:
        golden = {key.removeprefix("batch/"): file[key] for key in file if key.startswith("batch/")}
    assert batch.keys() == golden.keys()
    for key, value in batch.items():
        assert value.ndim == golden[key].ndim, key
        assert value.numpy().dtype == golden[key].dtype, key
