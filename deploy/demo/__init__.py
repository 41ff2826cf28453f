"""A realistic demo, the same one for the same seed: nobody in it exists (README.md)."""
