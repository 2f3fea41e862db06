"""Scenarios carried out against a lab and written down; nothing here judges."""
