"""See once, learn, find: what a user calls. Puts a base, the user's files and the personal method together."""
