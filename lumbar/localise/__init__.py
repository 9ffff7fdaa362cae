"""Localisers' outputs to tables: `aggregation` of the folds, `axial_mapping` of levels to slices, `point_errors`."""
