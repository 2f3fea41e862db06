"""What is wrong with each cluster of a lab, and how it is got back. Pure.

What the members say and what lies on their volumes becomes a diagnosis: what is the matter, and the
steps that mend it, each with its reason. Nothing here reads or does anything, so that a test can
draw any state of any cluster and assert what no diagnosis may ever do. How each store is recovered
is one module of ``stores``.
"""
