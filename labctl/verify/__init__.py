"""Using a lab for real: the verification steps of its services, run by one program.

What may enter: ``choice`` (which steps) and ``run`` (ship, follow, report) on labctl's side;
``program``, ``walk``, ``context`` and ``browser`` are shipped to the client node and run there,
with nothing else of labctl. The steps themselves belong to the services in the catalogue.
"""
