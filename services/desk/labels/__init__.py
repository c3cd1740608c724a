"""Labels for batches and serials: what they say, the code that says it to a scanner, and the paper that they go on.

`wording` is pure; `symbols` and `sheets` need the extra `labels` (zxing-cpp, Pillow) and are imported where it is used.
"""
