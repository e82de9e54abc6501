"""Measuring: metrics, the methods compared, the runner over a manifest, and the demo."""
