"""What happens when a config is run: items in order, the training loop, checkpoints, several ranks, records.

`runs` reads what all that left in the weights folder.
"""
