"""Role images: their definitions, building missing ones, removing old ones.

In: definitions from ``images/`` and an engine. Out: tags that depend on the content.
"""
