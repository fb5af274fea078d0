"""The thin command line: commands, words, exit codes."""
