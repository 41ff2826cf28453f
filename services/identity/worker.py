"""Entry point of the worker: `python -m services.identity.worker`."""

from chassis.service import run_worker
from services.identity.wiring import SERVICE

if __name__ == "__main__":
    run_worker(SERVICE)
