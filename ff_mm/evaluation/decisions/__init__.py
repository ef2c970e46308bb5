"""Decisions after the model: temperature, prior correction, thresholds; pure NumPy."""
