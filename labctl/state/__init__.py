"""What labctl keeps on disk about labs: records, secrets, and the lock of each lab.

What *runs* is never kept here: it is found by labels.
"""
