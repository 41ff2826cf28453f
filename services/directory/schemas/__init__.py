"""What the directory reads and answers over HTTP, by noun."""
