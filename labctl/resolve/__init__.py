"""Resolves a topology, a choice of it and the catalogue to a :class:`~labctl.model.lab.Lab`.

In: documents and the record of a lab. Out: nodes, addresses, services in order. Pure, except for
reading the record; nothing here knows containers.
"""
