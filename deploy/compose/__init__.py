"""What `deploy/compose.yaml` needs beside images."""
