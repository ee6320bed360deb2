"""Wires of the simulated bench: what puts a firmware behind a port, a terminal or a C function table."""
