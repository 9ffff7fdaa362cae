"""Every key of an experiment: its type, default, meaning and unit. A config holds only its differences from these.

`python train.py -C <config> --help` prints this list with the values of that config; any key can be overridden as
`--key value`. What is random follows from `seed`: a dataset draws item `index` from
``numpy.random.default_rng([cfg.seed, dataset.epoch, index])`` (the engine sets ``dataset.epoch`` before each epoch), so
that nothing depends on the number of workers or ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lumbar import tables
from lumbar.cli import UserError
from lumbar.config import key


@dataclass(frozen=True)
class Config:
    """One experiment, as plain values that never change."""

    # What is run.
    name: str = key("", "folder under weights_dir; the config's own name unless overridden")
    dataset: str = key("ds_dh_4a2", "module in data/: what an item is")
    model: str = key("mdl_dh_4a2", "module in models/: the network and its loss")
    post_process_pipeline: str = key("pp_dummy", "module in postprocess/: what predictions mean")
    metric: str = key("default_metric", "module in metrics/: what they are worth")
    train: bool = key(True, "train; False only infers, with pretrained_weights")
    val: bool = key(True, "validate on the held-out fold")
    val_epochs: int = key(1, "validate after every this many epochs, and always after the last")
    train_val: bool = key(False, "validate on the training patients too, un-augmented (reported as train_val_*)")
    fold: int = key(0, "held-out fold, 0-3; -1 trains on every patient and validates on fold 0")
    seed: int = key(-1, "of everything random; -1 draws one")
    debug: bool = key(False, "two batches per pass, one epoch, no loader workers, output in weights_dir/<name>_debug")

    # Where things lie.
    data_dir: str = key("datamount", "folder of all input and output tables and images")
    weights_dir: str = key("weights", "folder of checkpoints and validation outputs")
    cache: str = key(
        "train_images_v01",
        "8-bit slice cache under data_dir: <study>/<series>/<instance>.png; for published weights add published to it",
    )
    folds_table: str = key(tables.FOLDS.path, "fold file, under data_dir")
    meta_table: str = key(tables.META.path, "slice metadata, under data_dir")
    coordinates_table: str = key(tables.LABEL_COORDINATES.path, "human label points, under data_dir")
    sag_labels_table: str = key(tables.SAGITTAL_LABELS.path, "stage-1 sagittal level points, under data_dir")
    axial_xy_table: str = key(tables.AXIAL_XY.path, "predicted axial points, under data_dir")
    sag_xy_table: str = key(tables.SAGITTAL_XY.path, "predicted sagittal level points, under data_dir")
    axial_lvl_table: str = key(tables.AXIAL_LEVELS.path, "axial slices of each level, under data_dir")

    # Items.
    img_size: int | tuple[int, int] = key(384, "side of the network's input, px; or height,width")
    parts: tuple[str, ...] = key(("ss",), "condition groups that are read, each on its own series type: ss, nfn, scs")
    filter_logits_mask_thresh_sag_t1: float = key(0.8, "drop a T1 series whose best logits_mask is not over this")
    filter_logits_mask_thresh_sag_t2: float = key(0.8, "the same for T2/STIR series")
    full_test_set: bool = key(False, "every sagittal slice is an item, labelled or not (inference)")
    dummy_series_id: int = key(999999999, "series_id where a study has no such series")
    pp_bwd_fwd_fill: bool = key(False, "pp_dh_04: a level without a prediction takes the nearest level's")
    stretch: tuple[float, float] = key(
        (0.5, 0.9),
        "training of axial classifiers: share of a sequence that is used, a random contiguous one; least, most",
    )
    unmapped_items: bool = key(
        True, "training: a level found on a sagittal series alone is an axial classifier's item too, and yields no row"
    )
    aug: str = key("none", "recipe of training augmentation in lumbar/items/augment.py; none only resizes")
    mirror: bool = key(False, "training: mirror half of the axial sequences, left and right grades swapped with them")

    # Network.
    backbone: str = key("efficientnetv2_rw_t.ra2_in1k", "timm model")
    pretrained: bool | Literal["fallback"] = key(
        True, "start from ImageNet weights, an error where they cannot be had; fallback: a warning, and random ones"
    )
    in_channels: int = key(1, "input channels: neighbouring slices read together")
    n_classes: int = key(3, "outputs of a head: grades, or coordinates of a localiser")
    hidden_dim: int = key(512, "width of a recurrent layer, per direction; of the MLP's hidden layer")
    output_stride: int = key(32, "input pixels per pixel of the last feature map; 16 or 8 are finer and slower")
    pool: Literal["avg", "gem", "softargmax", "window"] = key(
        "avg",
        "pooling of the last feature map; for small networks: softargmax adds where each feature is (localisers), "
        "window looks near the middle of the image (classifiers)",
    )
    gem_p_trainable: bool = key(False, "learn the power of GeM pooling")
    image_normalization: str = key("simple", "simple: x / 255")
    slicelocation_clip: int = key(80, "patient x is clipped to +- this, mm")
    model_parts: tuple[str, ...] = key(("nfn", "scs", "ss"), "condition groups that mdl_dh_23c grades")
    mask_loss: float = key(0.02, "share of the mask loss in the sagittal localiser's loss, 0-1")
    mask_objective: Literal["l1", "bce"] = key(
        "l1", "mask loss: l1 learns the share of annotated levels itself (published), bce the logit of a probability"
    )

    # Ensemble.
    count_objective: Literal["l1", "l2"] = key(
        "l1", "sagittal z localiser's loss; l2 learns mean counts, where too little data leaves a median of 0"
    )
    oof_configs: tuple[str, ...] = key((), "configs whose out-of-fold predictions the ensemble reads, from weights_dir")
    oof: tuple[str, ...] = key((), "further out-of-fold tables for it: CSV files in the submission's format")
    oof_dropout: float = key(0.0, "chance of hiding a model's predictions of a training study, 0-1")
    mlp_members: int = key(8, "MLPs per condition group, of different initial weights; their predictions are averaged")
    mlp_prior: float = key(300.0, "belief in the mean of models that the MLP corrects, worth as many training studies")
    mlp_levels: bool = key(False, "the MLP also sees the levels above and below its target")
    mlp_conditions: bool = key(False, "the MLP also sees the other side and the other conditions of its target's level")

    # Optimisation.
    epochs: int = key(8, "passes over the training items")
    lr: float = key(2e-4, "peak learning rate of AdamW")
    weight_decay: float = key(1e-2, "of AdamW")
    warmup: float = key(0.1, "share of the epochs in which the learning rate rises linearly from 0; then a cosine to 0")
    batch_size: int = key(16, "training items per step and rank")
    batch_size_val: int | None = key(None, "items per validation step; None: batch_size")
    grad_accumulation: int = key(1, "batches per optimiser step")
    clip_grad: float = key(0.0, "largest norm of the gradient; 0 does not clip")
    mixed_precision: Literal["fp16", "bf16", "off"] = key("fp16", "arithmetic on a GPU; always off on the CPU")
    drop_last: bool = key(True, "leave out the last, incomplete training batch")
    weighted_sampling: bool = key(False, "draw training items with replacement by the dataset's sample_weights (N,)")
    data_sample: int = key(0, "training items per epoch, a new random choice each; 0: all")
    nonfinite_limit: int = key(10, "stop after this many non-finite losses in a row")
    pretrained_weights: str | None = key(
        None, "checkpoint to start from, or a folder: its newest (or the seed's); {fold} stands for the fold"
    )
    strict: bool = key(True, "pretrained_weights must fit the network exactly")
    pop_weights: tuple[str, ...] = key((), "prefixes of entries of pretrained_weights to leave out (head, level_emb)")
    resume_training: bool = key(False, "go on from the last checkpoint of this config, fold and seed, if there is one")

    # Reporting.
    eval_steps: int = key(0, "validate every this many optimiser steps, besides each epoch's end; 0: no")
    save_weights_only: bool = key(True, "reduce the checkpoint to its weights when training is done")
    neptune_project: str | None = key(None, "workspace/project; None: no Neptune. TensorBoard files are always written")
    neptune_mode: Literal["offline", "debug", "async", "sync"] = key("offline", "mode of the Neptune client")

    # Machine.
    num_workers: int = key(8, "loader processes per rank; 0 loads in the main process")
    compile: bool = key(False, "torch.compile the backbone")
    channels_last: bool = key(False, "channels-last memory format in the network")
    sync_batchnorm: bool = key(False, "share batch statistics among GPU ranks")

    def __post_init__(self) -> None:
        """Check what no type can say.

        Raises
        ------
        UserError
            Names the key, the value and what is allowed.
        """
        positive = (
            "lr",
            "epochs",
            "val_epochs",
            "batch_size",
            "grad_accumulation",
            "nonfinite_limit",
            "in_channels",
            "n_classes",
            "mlp_members",
        )
        not_negative = ("mlp_prior", "weight_decay", "clip_grad", "num_workers", "eval_steps", "data_sample")
        shares = ("warmup", "mask_loss", "oof_dropout")
        for name in positive:
            self._require(name, getattr(self, name) > 0, "greater than 0")
        for name in not_negative:
            self._require(name, getattr(self, name) >= 0, "0 or greater")
        for name in shares:
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        self._require("output_stride", self.output_stride in (8, 16, 32), "8, 16 or 32")
        self._require("fold", self.fold >= -1, "-1 or greater")
        self._require("seed", self.seed >= -1, "-1 or greater")
        self._require("batch_size_val", self.batch_size_val is None or self.batch_size_val > 0, "greater than 0")
        sides = (self.img_size,) if isinstance(self.img_size, int) else self.img_size
        self._require("img_size", min(sides) >= 32, "at least 32 px")

    def _require(self, name: str, fine: bool, expected: str) -> None:
        if not fine:
            raise UserError(f"config key {name!r}: must be {expected}, got {getattr(self, name)!r}", status=2)


cfg = Config()
