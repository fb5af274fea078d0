"""The gateway: one process that holds every connection, decides who may join, and routes."""
