"""From a lab to what should run, and from there to the steps of ``up``. Pure.

In: a lab, secrets, image tags, what was observed. Out: containers with their files, a plan, a
Compose document. Engines are known by their port only.
"""
