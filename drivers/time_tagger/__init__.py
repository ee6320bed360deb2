"""Time taggers: time-to-digital converters that give every click a time and an input."""
