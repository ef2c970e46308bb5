"""Using a model that was made: which one, on which images, and what it says of them."""
