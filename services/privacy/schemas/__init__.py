"""What privacy reads and answers over HTTP, by noun."""
