"""Training, distances in weight space, and how much models disagree."""
