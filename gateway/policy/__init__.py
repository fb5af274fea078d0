"""Pure decisions: facts in, verdicts out; no clock, no file, no socket."""
