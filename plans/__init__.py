"""Experiments as bluesky plans: every module holds the plan of its own name."""
