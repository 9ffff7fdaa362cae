"""Experiments: values only, one module per config."""
