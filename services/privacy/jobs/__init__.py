"""What the clock and the bells start in privacy."""

from services.privacy.jobs import erasures, escalations, exports, proofs, retention, rights

JOBS = (
    *erasures.JOBS,
    *exports.JOBS,
    *escalations.JOBS,
    *proofs.JOBS,
    *retention.JOBS,
    *rights.JOBS,
)
