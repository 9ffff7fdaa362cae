"""What a network is given.

Read `base` (what all datasets share), then `localiser_items` (whole slices) or `level_items` (crops of a level). The
crops are `sequences`, made by `sagittal_crops` and `axial_crops`; `augment` is what training does to
them.
"""
