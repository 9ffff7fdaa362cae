"""Axial localiser: the left and right subarticular point of an axial slice, all levels alike.

Command: ``python train.py -C cfg_dh_05b5_loc --fold 0``
Needs: the v01 cache and metadata (scripts/prepare.py), folds (scripts/make_folds.py), train_label_coordinates.csv.
Expect: 16 epochs over 13,742 annotated slices; points within a few millimetres.
"""

from lumbar.config import Config

cfg = Config(
    dataset="ds_dh_4a2",
    model="mdl_dh_4a2",
    aug="localiser_axial",
    backbone="efficientnetv2_rw_t.ra2_in1k",
    in_channels=1,
    n_classes=4,  # x_left y_left x_right y_right
    img_size=384,
    batch_size=16,
    epochs=16,
    lr=2e-4,
    weight_decay=1e-2,
)
