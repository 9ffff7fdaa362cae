"""Predictions to studies and scores.

Read `studies` (series to the 25 targets), `scoring` and `score_loss` (the competition's score, as a number and as a
loss), `class_shares` (what to answer when nothing is known) and `submission` (tables of answers), then `oof`
(out-of-fold predictions of all models) and `combiner` (the ensemble of them).
"""
