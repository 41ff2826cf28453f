"""`python -m services.consultations.migrations`: bring the database to the newest revision."""

from pathlib import Path

from chassis.migrations import main
from services.consultations.models import METADATA

if __name__ == "__main__":
    main(Path(__file__).parent, METADATA)
