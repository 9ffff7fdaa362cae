"""The synthetic competition: patients of known anatomy and grades, imaged and filed as the real ones are.

A patient is a 3-D model in millimetres (`patient`, shaped by `spine` and `ranges`), painted on slice planes of any
orientation (`canvas`, `bones`, `canal`, `trunk`), given a contrast (`tissue`) and a scanner's flaws (`scanner`).
"""
