"""Observe labs on an engine, bring them up, repair them, report their status, take them down.

In: the results of planning, and an engine. The only package that carries out plans.
"""
