"""Labs on an engine: observed, brought up, repaired, described, taken down.

In: what planning made, and an engine. The only room that carries out plans.
"""
