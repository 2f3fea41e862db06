"""Documents that people write, read and checked: YAML with positions, templates, the catalogue.

In: files. Out: typed, closed models (``labctl.model``), or one sentence with file and line. The
only room with PyYAML and Jinja2; it knows neither labs nor engines.
"""
