"""Workloads: clients that use a lab, each operation recorded from its beginning to its end.

The modules here but ``load``, ``labs`` and ``single`` run in the client node, by the client image's
Python and libraries, and import nothing of labctl but each other.
"""
