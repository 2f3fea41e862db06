"""Scenarios and sabotages as documents: read and checked, not yet held against a lab."""
