"""Role images: what each is made of, building those that are missing, removing those that are old.

In: definitions from ``images/`` and an engine. Out: tags that say what is inside.
"""
