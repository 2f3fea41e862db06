"""The documents of chaos: scenarios, sabotages and the library of both.

What may enter: what such a document may say (``scenario``, ``sabotages``, ``words``, ``aims``) and
how it is found and read (``library``). Nothing here knows a particular lab.
"""
