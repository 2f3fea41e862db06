"""Loads that run in the client node: they write numbers, and say what became of each.

The modules here but ``load`` run there, by the client image's Python and libraries, and import
nothing else of labctl.
"""
