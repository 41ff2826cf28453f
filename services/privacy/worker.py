"""Entry point of the worker: `python -m services.privacy.worker`."""

from chassis.service import run_worker
from services.privacy.wiring import SERVICE

if __name__ == "__main__":
    run_worker(SERVICE)
