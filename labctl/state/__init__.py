"""What labctl keeps on disk about labs: records, secrets, and a lock for each lab.

What is *running* is never recorded here: it is found by labels.
"""
