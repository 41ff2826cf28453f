"""What the figures are held against. Nothing here may import anything of this repository."""
