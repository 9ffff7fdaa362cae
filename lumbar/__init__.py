"""The library: everything that two or more of the configs, datasets, models and scripts share.

Data walks through its rooms in this order, and no room uses a later one. At the top lies what all of them use:
`anatomy`, `tables`, `table_checks`, `cli`, `config`, `values`, `files`, `parallel`, `roles`. Then `images` (DICOM files
to cached slices, and where they lie in the patient), `labels` (what humans and vertebra outlines say), `phantom` (the
synthetic competition), `items` (what a network is given), `nets` (what networks are made of), `engine` (a config in
motion), `localise` (localisers' outputs to tables), `grades` (predictions to studies, the score, the ensemble),
`predict` (new studies), `html` (pages, pictures, charts), `report` (pages about runs) and `audit` (a page about data).
"""
