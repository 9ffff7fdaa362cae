"""Ensemble: small MLPs per condition group combine the three classifiers, trained on the competition's metric itself.

Command: ``python train.py -C cfg_mlp --fold 0``, or ``python scripts/ensemble.py`` for all folds and a table.
Needs: folds (scripts/make_folds.py) and the validation outputs of the classifiers for all folds.
Expect: seconds on a CPU; a lower score than the mean of the models (docs/mlp.md).
"""

from lumbar.config import Config
from lumbar.roles import CLASSIFIERS

cfg = Config(
    dataset="ds_oof",
    model="mdl_mlp",
    post_process_pipeline="pp_dummy",
    metric="metric_mlp",
    oof_configs=CLASSIFIERS,
    hidden_dim=16,
    batch_size=4096,  # whole studies: the metric is a function of a set
    drop_last=False,
    epochs=1,  # it solves for its weights
    mixed_precision="off",
    num_workers=0,
)
