"""Train, validate or infer one config on one fold.

python train.py -C cfg_dh_05b5_loc --fold 0
python train.py -C cfg_dh_05b5_loc --fold 0 --epochs 4 --img_size 256     (any key below)
torchrun --nproc_per_node 4 train.py -C cfg_dh_29a2 --fold 0              (several GPUs, or CPU processes)
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from importlib import import_module

from lumbar.cli import UserError, nearest, parse_gpus, run
from lumbar.config import describe, load_config, module_names

DEFAULTS = "default_config"
LISTED = ("dataset", "model", "backbone", "img_size", "batch_size", "epochs", "lr", "weight_decay", "cache")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, 1 (failed), 2 (bad use) or 128 + signal (stopped, and saved)."""
    parser = make_parser()
    options, rest = parser.parse_known_args(argv)
    if options.list:
        print(table_of_configs())
        return 0
    overrides = parse_overrides(rest)
    if options.debug:
        overrides["debug"] = "True"
    cfg = load_config(options.config or DEFAULTS, overrides)
    if options.help:
        about = f"\n{cfg.name}: {import_module(f'configs.{cfg.name}').__doc__}" if options.config else ""
        print(f"{parser.format_help()}{about}\n{table_of_keys(cfg)}")
        return 0
    if options.config is None:
        raise UserError("option -C is missing: which config? python train.py --list shows all", status=2)
    gpus = parse_gpus(options.gpu)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("lumbar").setLevel(logging.INFO)
    from lumbar.engine.run import (
        run as run_config,
    )  # PyTorch takes seconds to import: mistakes in the command show before

    return run_config(cfg, gpus)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all that is no ``--key value``."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="python train.py -C CONFIG [-G GPUS] [-D] [--key value ...]",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("-C", dest="config", metavar="CONFIG", help="module in configs/; --list shows all")
    parser.add_argument(
        "-G", dest="gpu", metavar="GPUS", help="GPU number, or 0,1 under torchrun; cpu or '' for the CPU (default: all)"
    )
    parser.add_argument("-D", dest="debug", action="store_true", help="two batches per pass, one epoch: does it run?")
    parser.add_argument("--list", action="store_true", help="print the table of configs")
    parser.add_argument("-h", "--help", action="store_true", help="print this, and all keys with the config's values")
    return parser


def parse_overrides(words: Sequence[str]) -> dict[str, str]:
    """Pair up ``--key value`` and ``--key=value``.

    Raises
    ------
    UserError
        If a key has no value, or a word is no key.
    """
    overrides, rest = {}, list(words)
    while rest:
        key, equals, value = rest.pop(0).partition("=")
        if not key.startswith("--") or len(key) == 2:
            raise UserError(
                f"option {key!r} is unknown{nearest(key, ['-C', '-G', '-D'])}; keys are --key value", status=2
            )
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise UserError(f"option {key}: its value is missing", status=2)
            value = rest.pop(0)
        overrides[key[2:]] = value
    return overrides


def table_of_configs() -> str:
    """List the configs: what each trains, and its main keys."""
    rows: list[tuple[str, ...]] = [("config", *LISTED, "what it does")]
    for name in module_names("configs"):
        if name != DEFAULTS:
            cfg = load_config(name)
            about = (import_module(f"configs.{name}").__doc__ or "").partition("\n")[0]
            rows.append((name, *(str(getattr(cfg, key)) for key in LISTED), about))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def table_of_keys(cfg: object) -> str:
    """List a config's keys: value, and what the key means."""
    lines = [f"  --{key} {value!r}\n      {about}" for key, _, value, about in describe(cfg)]
    return "keys and their values:\n" + "\n".join(lines)


if __name__ == "__main__":
    run(main)
