"""`python -m services.notifications.migrations`: bring the database to the newest revision."""

from pathlib import Path

from chassis.migrations import main
from services.notifications.models import METADATA

if __name__ == "__main__":
    main(Path(__file__).parent, METADATA)
