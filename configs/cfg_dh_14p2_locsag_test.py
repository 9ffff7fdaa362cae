"""Inference of the sagittal localiser: five level points on every sagittal slice.

Command: ``./infer_model1.sh cfg_dh_14p2_locsag_test cfg_dh_14p2_locsag``
Needs: the trained cfg_dh_14p2_locsag of each fold; the v01 cache and metadata (scripts/prepare.py), folds
(scripts/make_folds.py).
Expect: val_data of about 67,000 slices over the four folds, read by aggregate_localisation.py.
"""

from dataclasses import replace

from configs.cfg_dh_14p2_locsag import cfg as trained

cfg = replace(trained, train=False, full_test_set=True)
