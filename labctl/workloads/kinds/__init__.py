"""The workloads: modules that define ``ENTRIES``, found by the registry."""
