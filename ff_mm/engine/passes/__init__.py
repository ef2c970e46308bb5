"""Passes of many models over the same cases, none slower than it need be."""
