"""Using a lab for real: the steps of its services, run in the client node by one program.

``choice`` (which steps) and ``run`` (ship, follow, report) are labctl's side; ``program``,
``walk`` and ``context`` are shipped to the client node and run there, with nothing else of labctl.
"""
