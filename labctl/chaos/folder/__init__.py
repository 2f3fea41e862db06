"""The folder of a run: the only place where a run and its judgement meet.

What may enter are the names and formats of its files, and how they are written, so that the folder
of a run that was killed can be read. Nothing here runs a scenario, and nothing judges.
"""
