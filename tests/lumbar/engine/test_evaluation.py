import torch
from torch import Tensor

from lumbar.engine.evaluation import Means, evaluate
from lumbar.engine.ranks import Ranks

ALONE = Ranks(0, 1, torch.device("cpu"))


def model(batch: Tensor) -> dict[str, Tensor]:
    loss = batch.float().mean() if (batch > 0).any() else torch.tensor(torch.nan)
    return {"loss": loss, "loss_part": 2 * loss, "n_valid": (batch > 0).sum(), "logits": batch, "n_rows": batch}


def test_rows_are_joined_in_order_and_losses_weighted_by_their_labels() -> None:
    batches = [torch.tensor([1, 2, 3]), torch.tensor([6]), torch.tensor([0, 0])]
    outputs, means = evaluate(model, batches, lambda batch, device: batch, ALONE)
    assert outputs.keys() == {"logits", "n_rows"}
    assert outputs["logits"].tolist() == [1, 2, 3, 6, 0, 0]
    assert means.values("val") == {"val_loss": 3.0, "val_loss_part": 6.0}


def test_without_targets_there_are_rows_and_no_losses() -> None:
    outputs, means = evaluate(lambda batch: {"logits": batch}, [torch.ones(2)], lambda batch, device: batch, ALONE)
    assert outputs["logits"].tolist() == [1, 1]
    assert means.values("val") == {}


def test_no_batches_no_rows() -> None:
    assert evaluate(model, [], lambda batch, device: batch, ALONE)[0] == {}


def test_means_go_on_from_saved_sums() -> None:
    means = Means({"loss": [6.0, 3.0]}, {"skipped": 1})
    means.add({"loss": 10.0, "other": float("inf")}, 1)
    assert means.merged(ALONE).values("train") == {"train_loss": 4.0}
    assert means.merged(ALONE).counts == {"skipped": 1}
