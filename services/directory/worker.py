"""Entry point of the worker: `python -m services.directory.worker`."""

from chassis.service import run_worker
from services.directory.wiring import SERVICE

if __name__ == "__main__":
    run_worker(SERVICE)
