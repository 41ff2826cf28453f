"""What privacy is told beyond the common settings."""

from pydantic import Field

from chassis.settings import Settings as CommonSettings


class Settings(CommonSettings):
    """Adds the mail server, the broker's administration, and how long traces outside live.

    Secret files: `certificates.pem`, `sealing.key`, `client_secret`, `evidence.pem`.
    """

    smtp_url: str
    mail_from: str
    dpo_address: str
    """Functional address of the data protection officer; hears of steps that stay open."""
    broker_admin_url: str
    """`http://user@host:port/vhost` of RabbitMQ's management API, to admit partners; its password is
    the file `broker_admin_password`, or in the address."""
    service_urls: dict[str, str] = Field(default_factory=dict)
    """Where each service answers inside the platform, as JSON: to collect what it holds about a
    person. One that is not named here is told to be missing."""
    court: str = (
        "le tribunal judiciaire ou administratif de votre domicile "
        "(adresses : https://www.justice.fr/recherche/annuaires)"
    )
    """Where one may go besides the CNIL, as the mails about rights requests say it."""
    backup_days: int = Field(default=35, ge=0)
    """How long backups of the databases live; told in every certificate."""
    log_days: int = Field(default=180, ge=0)
    """How long log files live (CNIL: 6 to 12 months); told in every certificate."""
