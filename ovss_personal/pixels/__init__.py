"""What a photo or a mask may be in memory, and what it becomes: the same rules for files and for arrays."""
