"""Polarization controllers: squeezers and paddles that turn the state of polarization."""
