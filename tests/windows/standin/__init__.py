"""A Windows machine for tests on Linux: keeps state, refuses what Windows refuses, changes what Windows changes."""
