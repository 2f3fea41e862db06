"""From a run's folder to its verdict.

What may enter: checks of what workloads saw (``checks``), the ledger of what stores promise
(``ledger``), bounds of failovers (``bounds``, ``budgets``), and the rules that make a verdict of
them (``verdict``). Only ``record`` reads the folder; the rest is pure, and nothing needs a lab.
"""
