"""The training loop. Read it from the top: a run, its epochs, their steps; then validation and checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch

from lumbar.cli import UserError
from lumbar.config import Config
from lumbar.engine import checkpoint, experiment, optimisation, records
from lumbar.engine.batches import make_loader, progress_bar, training_batches, validation_batches
from lumbar.engine.evaluation import Means, evaluate, read_losses
from lumbar.engine.ranks import Ranks
from lumbar.engine.runs import Run
from lumbar.engine.signals import Stopped, StopRequest

NOTHING_YET: Final = {"skipped": 0, "nonfinite": 0}
"""Steps without a label, and steps with a non-finite loss."""

_log = logging.getLogger(__name__)


class Trainer:
    """One run on one rank: its network, items and place in the schedule.

    Parameters
    ----------
    cfg : config
        Complete: `lumbar.engine.experiment.complete`.
    modules : Modules
        What it names.
    ranks : Ranks
        This process.
    stop : StopRequest
        Becomes true when the run should stop.
    """

    def __init__(self, cfg: Config, modules: experiment.Modules, ranks: Ranks, stop: StopRequest) -> None:
        self.cfg, self.modules, self.ranks, self.stop = cfg, modules, ranks, stop
        self.started = time.monotonic()
        self.folder = experiment.output_folder(cfg)
        run = Run(self.folder, cfg.seed)
        self.path, self.val_data = run.checkpoint, run.val_data
        _log.info("%s, fold %d, seed %d, %d x %s", cfg.name, cfg.fold, cfg.seed, ranks.world, ranks.device)

        training, held_out = experiment.split_patients(cfg)
        self.train_set: Any = experiment.make_dataset(cfg, modules, training, "train") if cfg.train else None
        self.val_sets: dict[str, tuple[Any, pd.DataFrame]] = {}
        if cfg.val:
            self.val_sets["val"] = experiment.make_dataset(cfg, modules, held_out, "val"), held_out
        if cfg.train_val:
            self.val_sets["train_val"] = experiment.make_dataset(cfg, modules, training, "val"), training

        checkpoint.seed_everything(cfg.seed)  # the same initial weights on every rank
        self.model = modules.model.Net(cfg)
        if cfg.pretrained_weights is not None:
            path = Path(cfg.pretrained_weights)
            new = checkpoint.fit_weights(self.model, checkpoint.load(path), path, cfg.strict, cfg.pop_weights)
            _log.info("weights from %s%s", cfg.pretrained_weights, f", but for {len(new)} entries" if new else "")
        if cfg.sync_batchnorm and ranks.device.type == "cuda":
            self.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self.model.to(ranks.device)
        if cfg.compile:  # the costly part; the rest changes shape with every batch
            getattr(self.model, "backbone", self.model).compile()
        self.autocast = optimisation.make_autocast(cfg, ranks.device)
        checkpoint.seed_everything(cfg.seed + ranks.rank)

        # The place in the run, and what was measured since the last row of the history.
        self.epoch, self.batch, self.step = 0, 0, 0  # whole epochs; batches and optimiser steps of this rank
        self.measured = Means(counts=NOTHING_YET)
        self.scores: dict[str, float] = {}
        if cfg.train:
            self.prepare_training()
        if ranks.main:
            self.history = records.History(run.history_file, self.step)
            self.trackers = records.Trackers(cfg, self.folder, self.step)
            records.write_snapshot(cfg, self.folder, ranks.world)

    def prepare_training(self) -> None:
        """Make the optimiser; take up the last checkpoint when asked to."""
        cfg, ranks = self.cfg, self.ranks
        self.optimizer = optimisation.make_optimizer(cfg, self.model, ranks.device)
        self.scaler = optimisation.make_scaler(cfg, ranks.device)
        self.guard = optimisation.BufferGuard(self.model)
        self.batches_per_epoch = len(training_batches(cfg, self.train_set, 0, ranks.world)) // ranks.world
        self.total_steps = cfg.epochs * math.ceil(self.batches_per_epoch / cfg.grad_accumulation)
        self.bad_in_a_row = 0
        if cfg.resume_training:
            self.resume()
        elif ranks.main and self.path.is_file():
            _log.warning("%s of an earlier run is replaced after the first epoch", self.path)
        self.net: Any = ranks.wrap(self.model)

    # ------------------------------------------------------------------------------------------------------------ loop

    def train(self) -> None:
        """Train until the last epoch is done."""
        if self.ranks.broadcast(
            self.ranks.main and self.batch == 0 < self.epoch and self.history.last_step < self.step
        ):
            self.record()  # the run was killed between an epoch's checkpoint and its validation
        while self.epoch < self.cfg.epochs:
            with optimisation.out_of_memory("batch_size", self.cfg.batch_size):
                self.fit() if hasattr(self.model, "fit") else self.train_epoch()
            self.epoch, self.batch = self.epoch + 1, 0
            self.save()
            self.record()
        if self.cfg.save_weights_only and self.ranks.main:
            checkpoint.save(self.path, {"model": self.model.state_dict()})

    def fit(self) -> None:
        """Let a network that can solve for its weights do so, on all training items at once, in place of an epoch."""
        data, items = self.modules.data, [self.train_set[index] for index in range(len(self.train_set))]
        output = self.model.fit(data.batch_to_device(data.tr_collate_fn(items), self.ranks.device))
        self.measured.add(*read_losses(output))
        self.step += self.total_steps // self.cfg.epochs

    def train_epoch(self) -> None:
        """Train on one epoch's items, or on those that a stopped run left over."""
        cfg, ranks, dataset = self.cfg, self.ranks, self.train_set
        dataset.epoch = self.epoch
        batches = training_batches(cfg, dataset, self.epoch, ranks.world)[self.batch * ranks.world :]
        loader = make_loader(cfg, dataset, batches, self.modules.data.tr_collate_fn, ranks)
        title = f"epoch {self.epoch + 1}/{cfg.epochs}"
        bar = progress_bar(loader, title, ranks, total=self.batches_per_epoch, initial=self.batch)
        labels, finite = 0.0, True  # of the batches that make up one optimiser step
        self.net.train()
        for batch in bar:
            batch = self.modules.data.batch_to_device(batch, ranks.device)
            self.batch += 1
            step_ends = self.batch % cfg.grad_accumulation == 0 or self.batch == self.batches_per_epoch
            with self.gradients_shared(step_ends):
                with self.autocast:
                    output = self.net(batch)
                self.scaler.scale(output["loss"] / cfg.grad_accumulation).backward()
            losses, n_valid = read_losses(output)
            self.measured.add(losses, n_valid)
            labels += n_valid
            if not math.isfinite(losses["loss"]):
                finite = False
                numbers = batch["series_id"] if "series_id" in batch else batch["study_id"]
                series = ", ".join(str(number) for number in sorted(set(numbers.flatten().tolist())))
                _log.warning(
                    "%s, batch %d: loss is %s, step skipped; series %s", title, self.batch, losses["loss"], series
                )
            if step_ends:
                labelled, nonfinite, stopped = ranks.any(labels > 0, not finite, bool(self.stop))
                self.update(labelled, nonfinite)
                labels, finite = 0.0, True
                bar.set_postfix(loss=f"{losses['loss']:.4g}", lr=f"{self.lr:.2g}", refresh=False)
                validates = cfg.eval_steps > 0 and self.step % cfg.eval_steps == 0
                if (stopped or validates) and self.batch < self.batches_per_epoch:
                    self.save()
                    if stopped:
                        self.stop_here()
                    self.record()
                    self.net.train()

    def update(self, labelled: bool, nonfinite: bool) -> None:
        """Make one optimiser step, unless no label or a non-finite loss stood behind its gradients."""
        cfg = self.cfg
        if nonfinite:
            self.guard.restore()
            self.measured.counts["nonfinite"] += 1
            self.bad_in_a_row += 1
            if self.bad_in_a_row >= cfg.nonfinite_limit:
                raise UserError(
                    f"{self.bad_in_a_row} non-finite losses in a row (config key 'nonfinite_limit'), the last at step "
                    f"{self.step + 1} of {self.total_steps}; lower --lr, or set --mixed_precision off"
                )
        elif not labelled:
            self.measured.counts["skipped"] += 1
        else:
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr
            if cfg.clip_grad > 0:
                self.scaler.unscale_(self.optimizer)
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), cfg.clip_grad)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.bad_in_a_row = 0
        if not nonfinite:
            self.guard.keep()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    @property
    def lr(self) -> float:
        """Learning rate of the present step; 0 when the network is not trained."""
        return optimisation.learning_rate(self.cfg, self.step, self.total_steps) if self.cfg.train else 0.0

    def gradients_shared(self, step_ends: bool) -> AbstractContextManager[Any]:
        """Average gradients over the ranks only at a step's last batch."""
        return nullcontext() if step_ends or self.ranks.world == 1 else self.net.no_sync()

    # ------------------------------------------------------------------------------------------- validation and records

    def record(self) -> None:
        """Validate if it is due, and write down all that was measured since the last time."""
        row: dict[str, float] = {"epoch": self.epoch, "step": self.step, "lr": self.lr}
        if self.cfg.train:
            row["epoch"] = round(self.epoch + self.batch / self.batches_per_epoch, 4)
            row |= self.measured.merged(self.ranks).values("train") | self.measured.counts
        due = self.batch > 0 or self.epoch % self.cfg.val_epochs == 0 or self.epoch >= self.cfg.epochs
        for split, (dataset, patients) in self.val_sets.items() if due else ():
            row |= self.validate(split, dataset, patients)
        self.measured = Means(counts=NOTHING_YET)
        if self.ranks.main:
            row["seconds"] = round(time.monotonic() - self.started, 1)
            self.history.add(row)
            self.trackers.log({name: row[name] for name in row.keys() - {"epoch", "step"}}, self.step)
            _log.info("%s", ", ".join(f"{name} {value:.6g}" for name, value in row.items()))
            self.scores = row

    def validate(self, split: str, dataset: Any, patients: pd.DataFrame) -> dict[str, float]:
        """Predict and score one side's patients; rank 0 writes the predictions of the held-out ones."""
        cfg, ranks, modules = self.cfg, self.ranks, self.modules
        ranks.share_buffers(self.model)
        loader = make_loader(cfg, dataset, validation_batches(cfg, dataset), modules.data.val_collate_fn, ranks)
        batches = self.unless_stopped(progress_bar(loader, split, ranks))
        self.model.eval()
        with optimisation.out_of_memory("batch_size_val", cfg.batch_size_val or cfg.batch_size):
            val_data, losses = evaluate(self.model, batches, modules.data.batch_to_device, ranks, self.autocast)
        if not ranks.main:
            return {}
        if split == "val":
            checkpoint.save(self.val_data, val_data)
        results = modules.postprocess.post_process_pipeline(cfg, val_data, patients)
        scores = modules.metric.calc_metric(cfg, results, patients, split)
        return {**losses.values(split), **{f"{split}_{name}": float(value) for name, value in scores.items()}}

    def unless_stopped(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Pass batches on until the run should stop: nothing is lost, a checkpoint precedes each validation."""
        for batch in batches:
            if self.stop:
                self.stop_here()
            yield batch

    # ----------------------------------------------------------------------------------------------------- checkpoints

    def save(self) -> None:
        """Write all that a later run needs to go on as if this one had not stopped."""
        random_states = self.ranks.gather(checkpoint.random_states())
        measured = self.measured.merged(self.ranks)
        if self.ranks.main:
            content = {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": {"step": self.step},  # the learning rate is a function of the step
                "scaler": self.scaler.state_dict(),
                "epoch": self.epoch,
                "batch": self.batch,
                "random": random_states,  # the items' order and augmentation follow from seed, epoch and index
                "measured": {"sums": measured.sums, "counts": measured.counts},
            }
            checkpoint.save(self.path, content)

    def resume(self) -> None:
        """Take up the last checkpoint of this config, fold and seed; without one, start at the beginning."""
        found = checkpoint.load(self.path) if self.ranks.main and self.path.is_file() else None
        state = self.ranks.broadcast(found)  # other machines may not see the file
        if state is None:
            _log.info("no %s yet: training starts at the beginning", self.path)
            return
        checkpoint.fit_weights(self.model, state, self.path)
        if "optimizer" not in state:
            self.epoch, self.step = self.cfg.epochs, self.total_steps
            _log.info("%s: training is complete", self.path)
            return
        changed = records.changed_keys(self.cfg, self.folder)
        if changed and self.ranks.main:
            _log.warning("config keys that differ from the run that is resumed: %s", ", ".join(changed))
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["scheduler"]["step"]
        self.measured = Means(state["measured"]["sums"] if self.ranks.main else None, state["measured"]["counts"])
        if self.ranks.rank < len(state["random"]):
            checkpoint.restore_random_states(state["random"][self.ranks.rank])
        self.guard.keep()
        _log.info("resumed %s after epoch %d, batch %d", self.path, self.epoch, self.batch)

    def stop_here(self) -> None:
        """Leave the run."""
        self.stop.join()
        raise Stopped(
            self.stop.number,
            f"stopped by a signal after epoch {self.epoch}, batch {self.batch}; {self.path} is saved: "
            "go on with --resume_training True",
        )

    def close(self) -> None:
        """Finish the records."""
        if self.ranks.main:
            self.trackers.close()

    def summary(self) -> str:
        """Say in one line what was done."""
        cfg, minutes = self.cfg, (time.monotonic() - self.started) / 60
        done = f"{self.epoch} epochs, {self.step} steps, {self.path}" if cfg.train else f"{self.val_data}"
        score = f"; score {self.scores['val_score']:.6g}" if "val_score" in self.scores else ""
        return f"{cfg.name}, fold {cfg.fold}, seed {cfg.seed}: {done}{score}; {minutes:.1f} min"
