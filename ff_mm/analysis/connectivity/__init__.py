"""Linear mode connectivity: paths between models, and their barriers."""
