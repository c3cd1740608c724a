"""Reports of receiving: the states of serials and batches, and the outcomes of what was sent.

One file a report; the package is listed to find them.
"""
