"""What the clock and the bells start in privacy."""

from services.privacy.jobs import erasures

JOBS = (*erasures.JOBS,)
