"""The machine that labctl runs on: processes, locks, threads. Knows nothing about labs."""
