"""What the original programs compute and ours has no use for: for comparison with their numbers."""
