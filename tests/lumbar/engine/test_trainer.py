import csv
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lumbar.cli import UserError
from lumbar.engine import checkpoint
from lumbar.engine.signals import Stopped
from lumbar.engine.trainer import Trainer

Toy = Callable[..., Trainer]


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def history(trainer: Trainer) -> list[dict[str, str]]:
    with trainer.history.path.open(newline="") as file:
        return list(csv.DictReader(file))


def set_targets(value: float, *indices: int) -> Callable[[Any], None]:
    return lambda dataset: dataset.target.update({index: torch.tensor(value) for index in indices})


def test_a_run_leaves_weights_predictions_history_and_a_snapshot(toy: Toy) -> None:
    trainer = toy()
    trainer.train()
    trainer.close()
    assert sorted(path.name for path in trainer.folder.iterdir()) == [
        "checkpoint_last_seed1.pth",
        "config_seed1.json",
        "history_seed1.csv",
        "tensorboard_seed1",
        "val_data_seed1.pth",
    ]
    saved = checkpoint.load(trainer.path)
    assert saved.keys() == {"model"}
    assert equal(saved["model"], weights(trainer))
    assert checkpoint.load(trainer.val_data)["series_id"].tolist() == list(range(1000, 1008))
    rows = history(trainer)
    assert [(row["epoch"], row["step"], row["skipped"], row["nonfinite"]) for row in rows] == [
        ("1.0", "4", "0", "0"),
        ("2.0", "8", "0", "0"),
    ]
    assert {"train_loss", "val_loss", "val_score", "lr", "seconds"} <= rows[0].keys()


def test_the_full_checkpoint_stays_when_asked_for(toy: Toy) -> None:
    trainer = toy(save_weights_only=False, epochs=1)
    trainer.train()
    saved = checkpoint.load(trainer.path)
    assert saved.keys() >= {"model", "optimizer", "scheduler", "scaler", "epoch", "random"}
    assert (saved["epoch"], saved["batch"], saved["scheduler"]["step"]) == (1, 0, 4)


def test_the_first_step_moves_each_weight_by_the_learning_rate(toy: Toy) -> None:
    # Adam's first step is the learning rate times the sign of the gradient; without warm-up the rate is its peak.
    trainer = toy(count=2, epochs=1, lr=0.01, weight_decay=0, warmup=0)
    before = trainer.model.line.weight.detach().clone()  # type: ignore[union-attr]
    trainer.train()
    moved = (trainer.model.line.weight.detach() - before).abs()  # type: ignore[union-attr]
    assert torch.allclose(moved, torch.full_like(moved, 0.01), rtol=1e-3)


def test_every_step_has_the_rate_of_the_schedule(toy: Toy) -> None:
    trainer = toy(count=20, epochs=5, lr=0.01, warmup=0.1)
    used: list[float] = []
    trainer.optimizer.register_step_pre_hook(lambda optimizer, *_: used.append(optimizer.param_groups[0]["lr"]))
    trainer.train()
    rising = [0.002 * step for step in range(5)]
    falling = [0.005 * (1 + math.cos(math.pi * step / 45)) for step in range(45)]
    assert used == pytest.approx(rising + falling)


def test_accumulated_batches_make_one_step(toy: Toy) -> None:
    trainer = toy(count=10, grad_accumulation=2, epochs=1)
    trainer.train()
    assert trainer.step == 3  # two pairs, and the fifth batch alone


@pytest.mark.parametrize("epochs_before_stop", [0.5, 1.0, 1.75])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(toy: Toy, epochs_before_stop: float) -> None:
    reference = toy(weights_dir="reference", epochs=3)
    reference.train()

    stopped = toy(epochs=3)
    batches = iter(range(100))
    update = stopped.update

    def update_and_stop(labelled: bool, nonfinite: bool) -> None:
        update(labelled, nonfinite)
        if next(batches) + 2 == 4 * epochs_before_stop:  # heard at the end of the next step
            stopped.stop.join()

    stopped.update = update_and_stop  # type: ignore[method-assign]
    with pytest.raises(Stopped, match="go on with --resume_training True") as signal:
        stopped.train()
    assert signal.value.status == 143

    resumed = toy(epochs=3, resume_training=True)
    assert resumed.epoch + resumed.batch / 4 == epochs_before_stop
    resumed.train()
    assert equal(weights(reference), weights(resumed))
    without_time = [[{**row, "seconds": ""} for row in history(trainer)] for trainer in (reference, resumed)]
    assert without_time[0] == without_time[1]
    assert torch.equal(*(checkpoint.load(trainer.val_data)["logits"] for trainer in (reference, resumed)))


def test_resuming_what_is_complete_or_has_not_begun(toy: Toy) -> None:
    first = toy(resume_training=True)
    first.train()
    again = toy(resume_training=True)
    again.train()
    assert equal(weights(first), weights(again))
    assert len(history(again)) == 2


def test_a_resumed_run_says_which_keys_differ(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    toy(save_weights_only=False, epochs=1).train()
    toy(resume_training=True, epochs=2, lr=0.5, num_workers=1)
    assert "config keys that differ from the run that is resumed: epochs, lr, save_weights_only" in caplog.text


def test_a_resumed_checkpoint_of_another_network_is_refused(toy: Toy) -> None:
    trainer = toy(save_weights_only=False)
    state = {"model": {"other.weight": torch.zeros(1)}, "optimizer": {}}
    checkpoint.save(trainer.path, state)
    with pytest.raises(UserError, match=r"checkpoint_last_seed1.pth: does not fit the network: lacks bn.weight"):
        toy(resume_training=True)


def test_a_batch_without_labels_is_skipped_and_counted(toy: Toy) -> None:
    trainer = toy(count=2, epochs=1, change=set_targets(-100, 0, 1))
    before = trainer.model.line.weight.detach().clone()  # type: ignore[union-attr]
    trainer.train()
    assert torch.equal(before, trainer.model.line.weight)  # type: ignore[union-attr]
    assert history(trainer)[0]["skipped"] == "1"


def test_a_non_finite_loss_names_its_series_and_changes_nothing(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    trainer = toy(count=2, epochs=1, change=set_targets(math.inf, 1))
    before = weights(trainer)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "epoch 1/1, batch 1: loss is inf, step skipped; series 1000, 1001" in caplog.text
    after = weights(trainer)
    assert after.pop("bn.num_batches_tracked") > before.pop("bn.num_batches_tracked")
    assert equal(before, after)  # running statistics too
    assert history(trainer)[0]["nonfinite"] == "1"


def test_one_bad_batch_does_not_stop_a_run_but_many_in_a_row_do(toy: Toy) -> None:
    toy(change=set_targets(math.nan, 1), nonfinite_limit=2).train()
    with pytest.raises(UserError, match=r"3 non-finite losses in a row \(config key 'nonfinite_limit'\)"):
        toy(change=set_targets(math.nan, *range(8)), nonfinite_limit=3).train()


def test_validation_within_an_epoch(toy: Toy) -> None:
    trainer = toy(eval_steps=3, epochs=2)
    trainer.train()
    assert [(row["epoch"], row["step"]) for row in history(trainer)] == [
        ("0.75", "3"),
        ("1.0", "4"),
        ("1.5", "6"),
        ("2.0", "8"),
    ]


def test_the_training_patients_can_be_scored_too(toy: Toy) -> None:
    trainer = toy(train_val=True, epochs=1)
    trainer.train()
    assert "train_val_score" in history(trainer)[0]
    assert len(checkpoint.load(trainer.val_data)["logits"]) == 8


def test_gradients_are_clipped(toy: Toy) -> None:
    trainer = toy(clip_grad=1e-3, epochs=1)
    norms = []
    step = trainer.optimizer.step

    def note(*arguments: Any, **keywords: Any) -> Any:
        gradients = [parameter.grad for parameter in trainer.model.parameters()]
        norms.append(torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm().item())
        return step(*arguments, **keywords)

    trainer.optimizer.step = note  # type: ignore[method-assign]
    trainer.train()
    assert norms == pytest.approx([1e-3] * 4, rel=1e-3)


def test_several_seeds_stay_apart(toy: Toy) -> None:
    for seed in (1, 2):
        toy(seed=seed, epochs=1).train()
    trainer = toy()
    assert len(list(trainer.folder.glob("*_seed1*"))) == len(list(trainer.folder.glob("*_seed2*"))) == 5


def test_validation_after_every_few_epochs_and_after_the_last(toy: Toy) -> None:
    trainer = toy(epochs=5, val_epochs=2)
    trainer.train()
    trainer.close()
    assert [row["epoch"] for row in history(trainer) if row["val_loss"]] == ["2.0", "4.0", "5.0"]
    assert len(history(trainer)) == 5


def test_a_network_that_can_solve_for_its_weights_does_so_on_all_items_at_once(toy: Toy) -> None:
    trainer = toy(epochs=1)

    def fit(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        torch.nn.init.constant_(trainer.model.line.weight, len(batch["target"]))
        return {"loss": torch.tensor(7.0), "n_valid": torch.tensor(8)}

    trainer.model.fit = fit
    trainer.train()
    trainer.close()
    assert checkpoint.load(trainer.path)["model"]["line.weight"].tolist() == [[8.0] * 3]
    (row,) = history(trainer)
    assert (row["epoch"], row["step"], row["train_loss"]) == ("1.0", "4", "7.0")
    assert math.isfinite(float(row["val_loss"]))
