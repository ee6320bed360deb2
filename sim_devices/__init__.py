"""Simulated instruments that speak the real wire protocols, joined to one physical twin of the bench."""
