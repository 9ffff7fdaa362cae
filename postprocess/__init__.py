"""What predictions mean: from network outputs to the 25 targets of a study."""
