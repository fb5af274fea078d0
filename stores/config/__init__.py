"""The configuration: one model, loaded strictly, edited faithfully."""
