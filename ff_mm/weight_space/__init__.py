"""The space that models lie in: points, planes, directions, distances, barriers."""
