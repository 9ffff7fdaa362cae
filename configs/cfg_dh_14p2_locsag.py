"""Sagittal localiser: the five level points on a sagittal slice, and whether the slice shows them.

Command: ``python train.py -C cfg_dh_14p2_locsag --fold 0``
Needs: the v01 cache and metadata (scripts/prepare.py), folds (scripts/make_folds.py), stage-1 level points
(scripts/make_sag_loc_labels_part2.py).
Expect: 8 epochs over about 67,000 slices, each with two neighbours on either side; points within a few millimetres.
"""

from lumbar.config import Config

cfg = Config(
    dataset="ds_dh_11g",
    model="mdl_dh_4b2",
    aug="localiser_sagittal",
    backbone="efficientnetv2_rw_s.ra2_in1k",
    in_channels=5,  # the slice between its four neighbours
    n_classes=10,  # x, y of five levels
    img_size=512,
    batch_size=32,
    epochs=8,
    lr=2e-4,
    weight_decay=1e-2,
)
