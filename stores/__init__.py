"""Files, records and pure transitions: everything that must work without an event loop."""
