"""Statistics of models on training images, of which some merging methods need them."""
