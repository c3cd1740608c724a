"""Reports over several services.

One file a report; the package is listed to find them.
"""
