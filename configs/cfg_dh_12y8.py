"""Sagittal classification: foraminal narrowing on T1 and canal stenosis on T2/STIR level crops.

Command: ``python train.py -C cfg_dh_12y8 --fold 0``
Needs: the v01 cache and metadata (scripts/prepare.py), folds (scripts/make_folds.py), train_label_coordinates.csv,
predicted level points (aggregate_localisation.py).
Expect: 5 epochs over about 9,900 (study, level) items; the weighted log loss of the 15 sagittal targets.
"""

from lumbar.config import Config

cfg = Config(
    dataset="ds_dh_12s3",
    model="mdl_dh_12a4",
    post_process_pipeline="pp_dh_02",
    metric="metric_dh_02",
    aug="classifier",
    parts=("nfn", "scs"),
    backbone="efficientnetv2_rw_t.ra2_in1k",
    in_channels=1,
    hidden_dim=512,
    img_size=256,
    batch_size=8,
    batch_size_val=32,
    epochs=5,
    lr=4e-4,
    weight_decay=1e-4,
)
