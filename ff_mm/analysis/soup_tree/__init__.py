"""What a soup is made of, and why."""
