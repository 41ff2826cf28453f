"""`python -m services.directory.migrations`: bring the database to the newest revision."""

from pathlib import Path

from chassis.migrations import main
from services.directory.models import METADATA

if __name__ == "__main__":
    main(Path(__file__).parent, METADATA)
