"""labctl stands up a highly available OpenStack control plane in containers and breaks it."""

__version__ = "0.1.0"
