"""Axial classification: reads axial level crops alone, and grades subarticular stenosis alone.

Command: ``python train.py -C cfg_dh_29a2 --fold 0``
Needs: the v04 cache and metadata (scripts/prepare.py), folds (scripts/make_folds.py), predicted points
(aggregate_localisation.py), axial slices of each level (aggregate_z_localisation.py).
Expect: 6 epochs over about 9,900 (study, level) items, of which some 9 % are on no axial slice and yield no row; the
weighted log loss of the 10 subarticular targets. With --parts ss,nfn,scs it also reads and grades foramina and canal on
sagittal crops; the network has the layers for them either way.
"""

from lumbar.config import Config

cfg = Config(
    dataset="ds_dh_23a",
    model="mdl_dh_23a",
    post_process_pipeline="pp_dh_04",
    metric="metric_dh_02",
    pp_bwd_fwd_fill=True,
    aug="classifier",
    cache="train_images_v04",
    parts=("ss",),
    filter_logits_mask_thresh_sag_t1=0.7,
    filter_logits_mask_thresh_sag_t2=0.7,
    backbone="efficientnetv2_rw_t.ra2_in1k",
    in_channels=1,
    hidden_dim=768,
    img_size=384,
    batch_size=8,
    batch_size_val=32,
    epochs=6,
    lr=4e-4,
    weight_decay=1e-4,
)
