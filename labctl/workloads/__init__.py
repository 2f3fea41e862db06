"""Workloads: clients that use a lab, and record the beginning and end of every operation.

What may enter: one module for each store or API, with the operations of its clients. All modules
except ``load`` and ``labs`` run in the client node, with the client image's Python and libraries,
so they import nothing of labctl but each other. ``labs`` configures a workload for a lab, ``load``
runs it there and collects its history.
"""
