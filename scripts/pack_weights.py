"""Gather the trained networks that predict.py needs into one flat folder, ready to become a Kaggle dataset.

python scripts/pack_weights.py --weights weights --out packed --fp16 --id <your Kaggle name>/lumbar-weights

Every fold and seed of the three localisers, the three classifiers and the MLP: weights alone, without optimiser states,
with an index that names each with the values of its config and its SHA-256. `predict.py --weights packed` takes the
folder and refuses it if a byte has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lumbar import cli
from lumbar.files import check_apart

TITLE: Final = "Lumbar spine grading: trained networks"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, 1 if a checkpoint was left out, or a `UserError`."""
    parser = cli.parser(__doc__ or "", data=False, workers=False)
    parser.add_argument(
        "--weights", type=Path, default=Path("weights"), metavar="DIR", help="what train.py left (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to fill: new, empty or unfinished"
    )
    parser.add_argument("--folds", type=int, nargs="+", metavar="K", help="only these folds; -1: trained on everyone")
    parser.add_argument("--fp16", action="store_true", help="half the size: 16-bit weights (predictions change little)")
    parser.add_argument("--force", action="store_true", help="replace what was packed there before")
    parser.add_argument(
        "--id", default="INSERT_KAGGLE_NAME/lumbar-weights", help="of the Kaggle dataset: <name>/<slug>"
    )
    parser.add_argument("--title", default=TITLE, help="of the Kaggle dataset, 6 to 50 characters")
    parser.add_argument("--license", default="CC0-1.0", help="of the Kaggle dataset (default: %(default)s)")
    options = parser.parse_args(argv)

    check_apart({"--out": options.out}, {"--weights": options.weights})
    metadata = {"title": options.title, "id": options.id, "licenses": [{"name": options.license}]}
    from lumbar.predict.packing import pack  # PyTorch takes seconds to import: mistakes in the command show before

    return pack(options.weights, options.out, options.folds, options.fp16, options.force, metadata)


if __name__ == "__main__":
    cli.run(main)
