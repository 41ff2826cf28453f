"""What the clock and the bells start in privacy."""

from services.privacy.jobs import erasures, escalations, exports, missed, proofs, retention, rights

JOBS = (
    *erasures.JOBS,
    *exports.JOBS,
    *escalations.JOBS,
    *missed.JOBS,
    *proofs.JOBS,
    *retention.JOBS,
    *rights.JOBS,
)
