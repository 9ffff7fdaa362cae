"""What humans and vertebra outlines say: `human` (grades and points), `folds`, and the labels of stage 1.

`misplaced` tells which points cannot be right, `sagittal_labels` makes level points from outlines or human points,
`spinenet` and `spinenet_runner` find the outlines, `sagittal_evaluation` tells where their levels are wrong.
"""
