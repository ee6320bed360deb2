"""Physics of the bench: light, components, settings that change in lab time, and the clicks that come of it."""
