"""What is kept on disk: caches, concept folders, files that are written whole or not at all."""
