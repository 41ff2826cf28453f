"""Measurements of the platform beside their references: `make bench`, explained in README.md."""
