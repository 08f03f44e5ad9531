"""The program that runs on the machines. Standard library only; imports nothing of the rest, and nothing imports it."""
