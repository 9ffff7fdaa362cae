"""Sagittal z localiser: which slices of a sagittal series show the left and right foramina and the canal.

Command: ``python train.py -C cfg_dh_14s10a_locsag --fold 0``
Needs: the v01 cache and metadata (scripts/prepare.py), folds (scripts/make_folds.py), train_label_coordinates.csv,
predicted level points (aggregate_localisation.py).
Expect: 8 epochs over about 3,900 series; its out-of-fold outputs are read by aggregate_z_localisation.py.
"""

from lumbar.config import Config

cfg = Config(
    dataset="ds_dh_11n4",
    model="mdl_dh_4h4",
    localises="slices",
    aug="localiser_sagittal",
    backbone="efficientnetv2_rw_t.ra2_in1k",
    in_channels=1,
    n_classes=3,  # left_nfn right_nfn scs
    hidden_dim=512,
    img_size=512,
    batch_size=6,
    batch_size_val=12,
    epochs=8,
    lr=2e-4,
    weight_decay=1e-2,
)
