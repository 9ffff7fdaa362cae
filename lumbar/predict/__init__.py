"""New studies to grades: which series there are, which networks, one study's answer, the submission."""
