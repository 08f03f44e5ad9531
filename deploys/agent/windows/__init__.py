"""The agent's half for Windows; `win32.py` alone calls Windows itself."""
