"""Images that are decoded once for all trials, epochs and data workers."""
