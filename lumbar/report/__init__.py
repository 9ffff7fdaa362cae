"""Reports: what a prediction or a training run amounts to, each as one HTML file that needs nothing else.

`prediction` writes the report of predicted studies. `training` writes that of training runs, out of `scores` (against
the class shares), `calibration`, `histories` (learning curves) and `worst` (the cases to look at).
"""
