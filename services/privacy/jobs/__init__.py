"""What the clock and the bells start in privacy."""

from services.privacy.jobs import erasures, escalations, proofs

JOBS = (*erasures.JOBS, *escalations.JOBS, *proofs.JOBS)
