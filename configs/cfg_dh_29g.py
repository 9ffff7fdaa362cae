"""Sagittal conditions from axial slices: all three condition groups read on the axial level crops alone.

Command: ``python train.py -C cfg_dh_29g --fold 0``
Needs: what cfg_dh_29a2 needs.
Expect: 6 epochs; the competition's weighted log loss for all 25 targets.
"""

from dataclasses import replace

from configs.cfg_dh_29a2 import cfg as axial

cfg = replace(axial, dataset="ds_dh_23j", model="mdl_dh_23c", parts=("ss",), model_parts=("nfn", "scs", "ss"))
