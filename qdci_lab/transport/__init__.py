"""Byte pipes to instruments: an address and a timeout, no messages."""
