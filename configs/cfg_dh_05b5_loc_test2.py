"""Inference of the axial localiser: the two subarticular points on every axial slice.

Command: ``./infer_model1.sh cfg_dh_05b5_loc_test2 cfg_dh_05b5_loc``
Needs: the trained cfg_dh_05b5_loc of each fold; the v01 cache and metadata (scripts/prepare.py), folds
(scripts/make_folds.py).
Expect: val_data of about 80,000 slices over the four folds, read by aggregate_localisation.py.
"""

from dataclasses import replace

from configs.cfg_dh_05b5_loc import cfg as trained

cfg = replace(trained, train=False, dataset="ds_dh_4a3")
