"""What makes privacy a service: one line per door."""

import tomllib
from pathlib import Path

from chassis import crash
from chassis.evidence import load_key
from chassis.service import Runtime, Service
from services.privacy.actions.notices import publish_notice
from services.privacy.actions.participants import trust_services
from services.privacy.api import routers
from services.privacy.consumers import ANSWERS, HANDLERS
from services.privacy.jobs import JOBS
from services.privacy.jobs.restores import rebuild
from services.privacy.jobs.samples import SAMPLES
from services.privacy.models import catalogue
from services.privacy.settings import Settings

_NOTICES = Path(__file__).parent / "notices"


async def _prepare(runtime: Runtime) -> None:
    """Trust the services whose keys the operator deployed; publish notices that are new."""
    keys = {
        path.stem: load_key(path).as_dict(private=False)
        for path in sorted((runtime.settings.trust_dir / "evidence").glob("*.pem"))
    }
    async with runtime.db.transaction() as session:
        await trust_services(session, keys=keys, broker_prefix=runtime.settings.broker_prefix)
        for path in sorted(_NOTICES.glob("*.toml")):
            notice = tomllib.loads(path.read_text(encoding="utf-8"))
            await publish_notice(
                session,
                version=notice["version"],
                in_force_from=notice["in_force_from"],
                content=notice["content"],
            )
    crash.point("privacy.after_prepare")


SERVICE = Service(
    name="privacy",
    description="Erasures and their proof, participants, notices, consents.",
    catalogue=catalogue,
    routers=routers,
    handlers=HANDLERS,
    answers=ANSWERS,
    jobs=JOBS,
    samples=SAMPLES,
    settings=Settings,
    prepare=_prepare,
    rebuild=rebuild,
)
