"""Distillation: students of what an ensemble says of each training image."""
