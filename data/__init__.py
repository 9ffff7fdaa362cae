"""Datasets: what an item is, one module per row of the config table."""
