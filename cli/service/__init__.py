"""The gateway as a service of systemd: its unit, what may keep it from running, its commands."""
