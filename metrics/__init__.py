"""What predictions are worth: the scores of the competition and of the localisers."""
