"""Container engines: the port, its adapters and the lab's link."""
