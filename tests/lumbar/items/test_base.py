import numpy as np
import pytest
import torch

from lumbar.items.base import as_tensors, batch_to_device, pad_rows, stack_rows


def row_of(length, label):
    return {
        "input": torch.full((length, 1, 2, 2), label, dtype=torch.uint8),
        "instance_numbers": torch.arange(1, length + 1),
        "target": torch.tensor([label, -100]),
    }


def test_padding():
    batch = pad_rows([row_of(1, 7), row_of(3, 8)], ("input", "instance_numbers"))
    assert batch["input"].shape == (2, 3, 1, 2, 2)
    assert batch["input"].dtype == torch.uint8
    assert batch["input"][:, :, 0, 0, 0].tolist() == [[7, 0, 0], [8, 8, 8]]
    assert batch["instance_numbers"].tolist() == [[1, 0, 0], [1, 2, 3]]
    assert batch["mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["target"].tolist() == [[7, -100], [8, -100]]


def test_equal_lengths_are_not_padded():
    batch = pad_rows([row_of(2, 7), row_of(2, 8)], ("input", "instance_numbers"))
    assert batch["input"].shape == (2, 2, 1, 2, 2)
    assert batch["mask"].all()


def test_stacking_needs_equal_shapes():
    assert stack_rows([row_of(2, 1), row_of(2, 2)])["input"].shape == (2, 2, 1, 2, 2)
    with pytest.raises(RuntimeError):
        stack_rows([row_of(2, 1), row_of(3, 2)])


def test_tensors_keep_types_and_shapes():
    flipped = np.arange(6, dtype=np.uint8).reshape(2, 3)[::-1]
    tensors = as_tensors({"image": flipped, "number": 5, "id": np.int64(6), "share": np.float32(0.5)})
    assert tensors["image"].tolist() == [[3, 4, 5], [0, 1, 2]]
    assert tensors["image"].dtype == torch.uint8
    assert tensors["number"].dtype == tensors["id"].dtype == torch.int64
    assert tensors["number"].shape == tensors["id"].shape == tensors["share"].shape == ()
    assert tensors["share"].dtype == torch.float32


def test_images_travel_as_bytes():
    batch = batch_to_device({"input": torch.zeros(1, dtype=torch.uint8)}, "cpu")
    assert batch["input"].dtype == torch.uint8
