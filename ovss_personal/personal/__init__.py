"""The paper: what is learned of one personal concept on top of what a frozen base saw.

Knows proposals and text embeddings, no base and no file but the concept's own folder.
"""
