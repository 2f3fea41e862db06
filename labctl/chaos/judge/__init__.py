"""From a run's folder to its verdict. Pure, but for reading the folder; needs no lab."""
