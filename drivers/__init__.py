"""Ophyd devices of the instruments on the bench, one module per model, grouped by kind."""
