"""Entry point of the worker: `python -m services.consultations.worker`."""

from chassis.service import run_worker
from services.consultations.wiring import SERVICE

if __name__ == "__main__":
    run_worker(SERVICE)
