"""Entry point of the worker: `python -m services.notifications.worker`."""

from chassis.service import run_worker
from services.notifications.wiring import SERVICE

if __name__ == "__main__":
    run_worker(SERVICE)
