"""Masks of segmentation: how they are read, found, and checked."""
