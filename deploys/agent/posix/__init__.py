"""The agent's half for Linux."""
