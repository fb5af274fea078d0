"""Methods a session may call, one file a family."""
