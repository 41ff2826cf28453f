"""What identity is told beyond the common settings."""

from chassis.settings import Settings as CommonSettings


class Settings(CommonSettings):
    """Adds the mail server; token keys are `tokens/<kid>.pem` in the secrets folder."""

    smtp_url: str
    mail_from: str
