"""Scenarios carried out against a lab and recorded in a run's folder.

What may enter: planning a run (``plan``, ``timeline``, ``fit``), carrying it out (``runner``,
``schedule``, ``injector``, ``workloads``, ``observer``, ``steady``), and choosing what to run
(``campaign``, ``shrink``). Nothing here judges.
"""
