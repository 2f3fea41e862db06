"""What a lab costs and how long its service is away: measured, with the bounds beside it."""
