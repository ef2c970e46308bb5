"""Loss surfaces: planes and random directions, minima and roughness."""
