"""What notifications is told beyond the common settings."""

from chassis.settings import Settings as CommonSettings


class Settings(CommonSettings):
    """Adds the mail server; `unsubscribe.key` in the secrets folder makes unsubscribe links."""

    smtp_url: str
    mail_from: str
