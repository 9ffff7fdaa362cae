"""The library: everything that two or more of the configs, datasets, models and scripts share."""
