"""All that touches a user's file; what leaves this package is checked, upright and of matching size."""
