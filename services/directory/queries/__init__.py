"""Reads of the directory, by noun; who asks is a required parameter."""
