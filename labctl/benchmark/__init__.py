"""What a lab costs, and how long its services are away: measured, with the bounds next to them.

What may enter: measuring (``run``, ``phases``, ``metering``, ``gaps``, ``chaos_run``, ...) and
presenting the figures (``report``, ``chaos``). ``meter`` and ``asker`` are shipped into containers
and use the standard library only.
"""
