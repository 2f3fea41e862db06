"""Reads and checks the documents that people write: YAML with positions, templates, the catalogue.

In: files. Out: typed, closed models (``labctl.model``), or one error sentence with file and line.
The only package that uses PyYAML and Jinja2; it knows neither labs nor engines.
"""
