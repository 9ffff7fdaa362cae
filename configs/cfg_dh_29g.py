"""All conditions from axial slices: reads axial level crops alone, and grades all three condition groups on them.

Command: ``python train.py -C cfg_dh_29g --fold 0``
Needs: what cfg_dh_29a2 needs.
Expect: 6 epochs over about 9,900 (study, level) items; the competition's weighted log loss for all 25 targets.
"""

from dataclasses import replace

from configs.cfg_dh_29a2 import cfg as axial

cfg = replace(
    axial,
    dataset="ds_dh_23j",
    model="mdl_dh_23c",
    model_parts=("nfn", "scs", "ss"),
    filter_logits_mask_thresh_sag_t1=0.1,
    filter_logits_mask_thresh_sag_t2=0.1,
)
