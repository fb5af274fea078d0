"""What `openclaw doctor` looks at: facts gathered from files, findings out, and the safe repairs."""
