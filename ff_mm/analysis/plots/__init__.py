"""Plots: how all of them look, how they become files, and what they show."""
