"""Work out what a lab should consist of, and the steps of ``up`` that lead there. Pure.

In: a lab, secrets, image tags, what was observed. Out: containers with their files, a plan, a
Compose document. Engines are known only by their port.
"""
