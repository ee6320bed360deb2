"""Optical fibre amplifiers."""
