"""What an experiment is: every key with its type, default, meaning and unit; how a config is found and overridden.

A config is one frozen `Config`: plain values that nothing can change behind another config's back. What is said of a
key is said once, where it stands: its unit, its bounds, and what it matters to. `python train.py -C <config> --help`
prints the list with the values of that config; any key can be overridden as ``--key value``. The parsing is done here,
as libraries for typed command lines (tyro, jsonargparse) answer a wrong key or value with several lines.

What is random follows from `seed`: a dataset draws item `index` from
``numpy.random.default_rng([cfg.seed, dataset.epoch, index])`` (the engine sets ``dataset.epoch`` before each epoch), so
that nothing depends on the number of workers or ranks.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_type_hints

from lumbar import tables
from lumbar.cli import UserError, nearest
from lumbar.values import as_text, parse_value

Value = TypeVar("Value")
Matters = Literal["always", "training", "never"]
"""What a key can change: the network and all that it answers; how and where it was trained; nothing (an interrupted
training that goes on with another value ends with the same result)."""

View = Literal["own", "conditions", "levels"]
"""What an MLP of the ensemble sees: its target; also the other conditions of its level; also the levels beside it."""


def key(
    default: Value,
    description: str,
    *,
    matters: Matters = "always",
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> Value:
    """Declare one key of a config.

    Parameters
    ----------
    default : Value
        Its default.
    description : str
        What it means, with its unit; shown by ``train.py --help``.
    matters : str
        What it can change.
    above, least, most : float, optional
        Bounds of a number, and of each number of several; `most` only beside `least`.
    """
    bounds = {"above": above, "least": least, "most": most}
    return dataclasses.field(default=default, metadata={"help": description, "matters": matters, **bounds})


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment, as plain values that never change."""

    # What is run.
    name: str = key("", "folder under weights_dir; the config's own name unless overridden", matters="training")
    dataset: str = key("ds_dh_4a2", "module in data/: what an item is")
    model: str = key("mdl_dh_4a2", "module in models/: the network and its loss")
    post_process_pipeline: str = key("pp_dummy", "module in postprocess/: what predictions mean")
    metric: str = key("default_metric", "module in metrics/: what they are worth")
    localises: Literal["points", "slices"] = key(
        "points",
        "what a localiser finds, for default_metric: points of a slice, slices of a series",
        matters="never",
    )
    train: bool = key(True, "train; False only infers, with pretrained_weights", matters="training")
    val: bool = key(True, "validate on the held-out fold", matters="training")
    val_epochs: int = key(1, "validate after every this many epochs, and always after the last", above=0)
    train_val: bool = key(
        False, "validate on the training patients too, un-augmented (reported as train_val_*)", matters="training"
    )
    fold: int = key(
        0, "held-out fold, 0-3; -1 trains on every patient and validates on fold 0", matters="training", least=-1
    )
    seed: int = key(-1, "of everything random; -1 draws one", matters="training", least=-1)
    debug: bool = key(
        False,
        "two batches per pass, one epoch, no loader workers, output in weights_dir/<name>_debug",
        matters="training",
    )

    # Where things lie.
    data_dir: str = key("datamount", "folder of all input and output tables and images", matters="never")
    weights_dir: str = key("weights", "folder of checkpoints and validation outputs", matters="never")
    cache: str = key(
        "train_images_v01",
        "8-bit slice cache under data_dir: <study>/<series>/<instance>.png; for published weights add published to it",
    )
    folds_table: str = key(tables.FOLDS.path, "fold file, under data_dir", matters="training")
    meta_table: str = key(tables.META.path, "slice metadata, under data_dir", matters="training")
    coordinates_table: str = key(
        tables.LABEL_COORDINATES.path, "human label points, under data_dir", matters="training"
    )
    sag_labels_table: str = key(
        tables.SAGITTAL_LABELS.path, "stage-1 sagittal level points, under data_dir", matters="training"
    )
    axial_xy_table: str = key(tables.AXIAL_XY.path, "predicted axial points, under data_dir", matters="training")
    sag_xy_table: str = key(
        tables.SAGITTAL_XY.path, "predicted sagittal level points, under data_dir", matters="training"
    )
    axial_lvl_table: str = key(
        tables.AXIAL_LEVELS.path, "axial slices of each level, under data_dir", matters="training"
    )

    # Items.
    img_size: int | tuple[int, int] = key(384, "side of the network's input, px; or height,width", least=32)
    parts: tuple[str, ...] = key(("ss",), "condition groups that are read, each on its own series type: ss, nfn, scs")
    filter_logits_mask_thresh_sag_t1: float = key(0.8, "drop a T1 series whose best logits_mask is not over this")
    filter_logits_mask_thresh_sag_t2: float = key(0.8, "the same for T2/STIR series")
    full_test_set: bool = key(False, "every sagittal slice is an item, labelled or not (inference)", matters="training")
    dummy_series_id: int = key(999999999, "series_id where a study has no such series")
    pp_bwd_fwd_fill: bool = key(False, "pp_dh_04: a level without a prediction takes the nearest level's")
    stretch: tuple[float, float] = key(
        (0.5, 0.9),
        "training of axial classifiers: share of a sequence that is used, a random contiguous one; least, most",
        matters="training",
    )
    unmapped_items: bool = key(
        True,
        "training: a level found on a sagittal series alone is an axial classifier's item too, and yields no row",
        matters="training",
    )
    aug: str = key("none", "recipe of training augmentation in lumbar/items/augment.py; none only resizes")
    mirror: bool = key(
        False,
        "training: mirror half of the axial sequences, left and right grades swapped with them",
        matters="training",
    )

    # Network.
    backbone: str = key("efficientnetv2_rw_t.ra2_in1k", "timm model")
    pretrained: bool | Literal["fallback"] = key(
        True,
        "start from ImageNet weights, an error where they cannot be had; fallback: a warning, and random ones",
        matters="never",
    )
    in_channels: int = key(1, "input channels: neighbouring slices read together", above=0)
    n_classes: int = key(3, "outputs of a head: grades, or coordinates of a localiser", above=0)
    hidden_dim: int = key(512, "width of a recurrent layer, per direction; of the MLP's hidden layer")
    output_stride: Literal[8, 16, 32] = key(
        32, "input pixels per pixel of the last feature map; 16 or 8 are finer and slower"
    )
    pool: Literal["avg", "gem", "softargmax", "window"] = key(
        "avg",
        "pooling of the last feature map; for small networks: softargmax adds where each feature is (localisers), "
        "window looks near the middle of the image (classifiers)",
    )
    gem_p_trainable: bool = key(False, "learn the power of GeM pooling")
    image_normalization: str = key("simple", "simple: x / 255")
    slicelocation_clip: int = key(80, "patient x is clipped to +- this, mm")
    model_parts: tuple[str, ...] = key(("nfn", "scs", "ss"), "condition groups that mdl_dh_23c grades")
    mask_loss: float = key(
        0.02, "share of the mask loss in the sagittal localiser's loss, 0-1", matters="training", least=0, most=1
    )
    mask_objective: Literal["l1", "bce"] = key(
        "l1", "mask loss: l1 learns the share of annotated levels itself (published), bce the logit of a probability"
    )

    # Ensemble.
    count_objective: Literal["l1", "l2"] = key(
        "l1", "sagittal z localiser's loss; l2 learns mean counts, where too little data leaves a median of 0"
    )
    oof_configs: tuple[str, ...] = key((), "configs whose out-of-fold predictions the ensemble reads, from weights_dir")
    oof: tuple[str, ...] = key((), "further out-of-fold tables for it: CSV files in the submission's format")
    mlp_views: tuple[View, ...] = key(
        ("own", "conditions", "levels"),
        "an MLP for each: sees its target; also its level's other conditions; also the levels above and below",
    )
    mlp_priors: tuple[float, ...] = key(
        (1024.0, 256.0, 64.0, 16.0, 4.0, 1.0),
        "beliefs in the mean of models that the MLP corrects, worth as many training studies; each MLP takes the best",
        matters="training",
        above=0,
    )

    # Optimisation.
    epochs: int = key(8, "passes over the training items", matters="training", above=0)
    lr: float = key(2e-4, "peak learning rate of AdamW", matters="training", above=0)
    weight_decay: float = key(1e-2, "of AdamW", matters="training", least=0)
    warmup: float = key(
        0.1,
        "share of the epochs in which the learning rate rises linearly from 0; then a cosine to 0",
        matters="training",
        least=0,
        most=1,
    )
    batch_size: int = key(16, "training items per step and rank", matters="training", above=0)
    batch_size_val: int | None = key(None, "items per validation step; None: batch_size", matters="training", above=0)
    grad_accumulation: int = key(1, "batches per optimiser step", matters="training", above=0)
    clip_grad: float = key(0.0, "largest norm of the gradient; 0 does not clip", matters="training", least=0)
    mixed_precision: Literal["fp16", "bf16", "off"] = key("fp16", "arithmetic on a GPU; always off on the CPU")
    drop_last: bool = key(True, "leave out the last, incomplete training batch", matters="training")
    weighted_sampling: bool = key(
        False, "draw training items with replacement by the dataset's sample_weights (N,)", matters="training"
    )
    data_sample: int = key(0, "training items per epoch, a new random choice each; 0: all", matters="training", least=0)
    nonfinite_limit: int = key(10, "stop after this many non-finite losses in a row", matters="training", above=0)
    pretrained_weights: str | None = key(
        None,
        "checkpoint to start from, or a folder: its newest (or the seed's); {fold} stands for the fold",
        matters="training",
    )
    strict: bool = key(True, "pretrained_weights must fit the network exactly", matters="training")
    pop_weights: tuple[str, ...] = key(
        (), "prefixes of entries of pretrained_weights to leave out (head, level_emb)", matters="training"
    )
    resume_training: bool = key(
        False, "go on from the last checkpoint of this config, fold and seed, if there is one", matters="never"
    )
    wait: bool = key(
        False, "wait for another process that works on the same config, fold and seed; False: an error", matters="never"
    )

    # Reporting.
    eval_steps: int = key(
        0, "validate every this many optimiser steps, besides each epoch's end; 0: no", matters="training", least=0
    )
    save_weights_only: bool = key(
        True, "reduce the checkpoint to its weights when training is done", matters="training"
    )
    neptune_project: str | None = key(
        None, "workspace/project; None: no Neptune. TensorBoard files are always written", matters="never"
    )
    neptune_mode: Literal["offline", "debug", "async", "sync"] = key(
        "offline", "mode of the Neptune client", matters="never"
    )

    # Machine.
    num_workers: int = key(8, "loader processes per rank; 0 loads in the main process", matters="never", least=0)
    compile: bool = key(False, "torch.compile the backbone", matters="training")
    channels_last: bool = key(False, "channels-last memory format in the network", matters="training")
    sync_batchnorm: bool = key(False, "share batch statistics among GPU ranks", matters="training")

    def __post_init__(self) -> None:
        """Check the values against the bounds of their keys.

        Raises
        ------
        UserError
            Names the key, the value and what is allowed.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int | float) and (expected := _bound_missed(number, field.metadata)):
                    raise UserError(f"config key {field.name!r}: must be {expected}, got {value!r}", status=2)


def _bound_missed(number: float, key: Mapping[str, Any]) -> str:
    """Say which bound of its key a number does not keep; nothing where it keeps all. What is no number keeps none."""
    above, least, most = key["above"], key["least"], key["most"]
    if above is not None and not number > above:
        return f"greater than {above}"
    if most is not None and not least <= number <= most:
        return f"from {least} to {most}"
    if least is not None and not number >= least:
        return f"{least} or greater"
    return ""


def keys_that_matter(to: Matters) -> frozenset[str]:
    """Name the keys that are declared to matter so: ``always``, to ``training`` alone, or ``never``."""
    return frozenset(field.name for field in dataclasses.fields(Config) if field.metadata["matters"] == to)


def module_names(package: str) -> list[str]:
    """List the modules of a package, sorted (``configs`` -> ``['cfg_dh_05b5_loc', ...]``)."""
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))


def find_module(package: str, name: str, needs: Sequence[str], asked_by: str) -> types.ModuleType:
    """Import ``<package>.<name>`` and check that it offers what it must.

    Parameters
    ----------
    package, name : str
        For example ``data`` and ``ds_dh_4a2``.
    needs : sequence of str
        Names that the module must define.
    asked_by : str
        Who names the module, for the message: ``config key 'dataset'``.

    Raises
    ------
    UserError
        If there is no such module (says where it looked and which name is nearest), or it lacks one of `needs`.
    """
    known = module_names(package)
    if name not in known:
        where = ", ".join(str(path) for path in importlib.import_module(package).__path__)
        raise UserError(f"{asked_by}: no module {name!r} in {where}{nearest(name, known)}", status=2)
    module = importlib.import_module(f"{package}.{name}")
    missing = [need for need in needs if not hasattr(module, need)]
    if missing:
        raise UserError(f"{asked_by}: {module.__file__} does not define {', '.join(missing)}", status=2)
    return module


def load_config(name: str, overrides: Mapping[str, str] | None = None) -> Config:
    """Load a config by name and apply ``--key value`` overrides.

    Parameters
    ----------
    name : str
        Module in ``configs/``; becomes ``cfg.name`` and with it the folder under ``weights/``.
    overrides : mapping of str to str
        Values as typed on the command line; each is parsed to its key's type.

    Returns
    -------
    Config
        A fresh instance.

    Raises
    ------
    UserError
        If the config, a key or a value is unknown; names the nearest match or the type that was expected.
    """
    module = find_module("configs", name.removesuffix(".py").removeprefix("configs/"), ["cfg"], "option -C")
    name = module.__name__.rpartition(".")[2]
    types_by_key = get_type_hints(type(module.cfg))
    values: dict[str, Any] = {"name": name}
    for override, text in (overrides or {}).items():
        if override not in types_by_key:
            raise UserError(
                f"option --{override}: config {name} has no such key{nearest(override, list(types_by_key))}; "
                "lumbar/config.py lists all",
                status=2,
            )
        values[override] = parse_value(text, types_by_key[override], override)
    return dataclasses.replace(module.cfg, **values)


def describe(cfg: Config) -> list[tuple[str, str, Any, str]]:
    """List a config's keys: (name, type, value, description)."""
    return [
        (field.name, str(field.type), getattr(cfg, field.name), field.metadata.get("help", ""))
        for field in dataclasses.fields(cfg)
    ]


def overrides_of(name: str, overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Collect what a table of overrides says of one config, and check it.

    Parameters
    ----------
    name : str
        The config.
    overrides : mapping of str to mapping
        Values by key, under ``all`` for every config and under a config's name for it alone, which counts more.

    Returns
    -------
    dict of str to str
        Values as they are typed on the command line, by key.

    Raises
    ------
    UserError
        If a table is none, or names a config, a key or a value that does not exist.
    """
    known = ["all", *module_names("configs")]
    for table, values in overrides.items():
        if table not in known:
            raise UserError(f"overrides: no config {table!r}{nearest(table, known)}", status=2)
        if not isinstance(values, Mapping):
            raise UserError(f"overrides of {table}: expected key: value pairs, got {values!r}", status=2)
    chosen = {**overrides.get("all", {}), **overrides.get(name, {})}
    text = {str(key): as_text(value) for key, value in chosen.items()}
    load_config(name, text)
    return text
