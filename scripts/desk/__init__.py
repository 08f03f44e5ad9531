"""The desk's commands: what the Makefile calls, and what may be called as `python -m scripts.desk <command>`.

They import nothing of `deploys`: they run pyinfra's own command line and read its lines and its JSON, and the report
file that our deploys write beside it.
"""
