"""Chaos with proof: scenarios are run against a lab, and a verdict says what survived.

A scenario (``document``) is carried out (``run``) and recorded in a folder (``folder``), from which
alone it is judged (``judge``) and reported (``report``). ``model`` holds the data that all of them
share. A run and its judgement know nothing of each other but the folder.
"""
