"""The metrics, one file a kind."""
