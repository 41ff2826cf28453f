"""What a lawyer reviews: numbers and sentences with their source, read from the files of this folder."""
