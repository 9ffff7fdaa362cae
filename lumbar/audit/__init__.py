"""The data audit: what a download or phantom holds, what is odd about it, and whether it is fit to train on.

`inputs` lists the files and reads the tables; `file_checks`, `label_checks`, `place_checks` and `slice_checks`
hold the checks by what they look at; `overview` counts; `report` runs all, reaches the verdict and lists the cases;
`overview_page` writes it as HTML, with pictures of the slices that look wrong.
"""
