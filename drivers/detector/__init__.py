"""Single-photon detectors, as far as they are controlled themselves; their clicks go to a time tagger."""
