"""DICOM files to cached slices, and where those lie in the patient.

Read `dicom` (one file), `cache` (one picture), `preparation` (all of them), then `volumes` (a series at hand while
training), `slices` (all slices of many series as arrays) and `geometry` (pixels to millimetres).
"""
