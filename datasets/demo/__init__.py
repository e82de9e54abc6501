"""The demo albums: photos with masks of two things, made for the tests and the tour."""
