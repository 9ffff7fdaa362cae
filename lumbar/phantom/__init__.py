"""The synthetic competition: patients of known anatomy and grades, imaged and filed as the real ones are.

A patient is a 3-D model in millimetres (`patient`, along the curve of `spine`, with the measures that `severity` gives
each grade), painted on slice planes of any orientation (`canvas`, `bones`, `canal`, `trunk`) and imaged (`tissue`,
`render`). `plan` lays the series over it, `irregular` makes some odd, `marks` says where things lie, `study` writes one
study and `competition` all.
"""
