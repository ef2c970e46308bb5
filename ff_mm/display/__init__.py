"""For people: console, progress, numbers, tables, and how figures look."""
