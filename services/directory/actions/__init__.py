"""What people do in the directory: one function per intent, by noun."""
