"""Readers of what annotation tools export, one module a tool; `io.formats.table` picks by content."""
