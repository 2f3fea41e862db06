"""A topology, a choice of it and the catalogue come to a :class:`~labctl.model.lab.Lab` here.

In: documents and what is recorded of a lab. Out: nodes, addresses, services in order. Pure, but for
the record; nothing here knows containers.
"""
