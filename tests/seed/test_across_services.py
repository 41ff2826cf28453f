"""What one service knows of another's facts is what the other knows: nothing dangles (E4)."""

import io
from typing import Any

from PIL import Image

from deploy.demo.load import WRITERS
from services.consultations.schemas import NewConsultation, NewReply
from services.directory.actions.companies import _columns
from services.directory.schemas.communities import CommunityForm
from services.directory.schemas.companies import CompanyForm
from services.directory.schemas.people import ProfileForm
from services.notifications.models import NOTICES_KEPT
from tests.seed.conftest import COMPANIES, NOTICE, NOW, Demo, rows

ACCOUNTS = "select id from account"
PEOPLE = "select id from data_subject"


async def test_a_person_has_one_id_everywhere(demo: Demo) -> None:
    accounts = await demo.set("identity", ACCOUNTS)
    confirmed = await demo.set("identity", f"{ACCOUNTS} where state = 'active'")
    assert await demo.set("identity", PEOPLE) == accounts
    assert await demo.set("privacy", PEOPLE) == accounts
    assert await demo.set("directory", PEOPLE) == confirmed
    assert await demo.set("directory", "select person_id from profile") == confirmed
    attached = await demo.set("directory", "select distinct person_id from attachment")
    animators = await demo.set("directory", "select distinct person_id from community_animator")
    asked = await demo.set("directory", "select distinct person_id from membership")
    assert await demo.set("consultations", PEOPLE) == attached | animators
    assert await demo.set("notifications", PEOPLE) == asked | animators


async def test_everybody_agreed_to_the_notice_in_force_when_they_signed_up(demo: Demo) -> None:
    agreed = await demo.set("privacy", "select person_id, notice_version, given_at from consent")
    assert agreed == await demo.set("identity", "select id, notice_version, opened_at from account")
    assert {version for _, version, _ in agreed} == {NOTICE}


async def test_communities_and_who_runs_them_are_the_same_everywhere(demo: Demo) -> None:
    named = "select id, slug, cci from community"
    known = await demo.set("directory", named)
    assert len(known) == 12
    run = await demo.set("directory", "select person_id, community_id from community_animator")
    for service in ("consultations", "notifications"):
        assert await demo.set(service, named) == known
        assert await demo.set(service, "select person_id, community_id from animator") == run
    agents = await demo.set("directory", "select person_id from cci_agent")
    assert agents == await demo.set(
        "identity", "select account_id from role_grant where role = 'agent'"
    )


async def test_attachments_and_memberships_are_the_same_everywhere(demo: Demo) -> None:
    attachment = "select person_id, company_id, role from attachment"
    assert await demo.set("consultations", attachment) == await demo.set(
        "directory", f"{attachment} where state = 'active'"
    )
    full, short = "id, person_id, company_id, community_id", "id, person_id, community_id"
    active = "from membership where state = 'active'"
    assert await demo.set("consultations", f"select {full} from membership") == await demo.set(
        "directory", f"select {full} {active}"
    )
    assert await demo.set("notifications", f"select {short} from membership") == await demo.set(
        "directory", f"select {short} {active}"
    )
    pair = "select distinct person_id, community_id"
    assert await demo.set(
        "notifications", "select person_id, community_id from subscription"
    ) == await demo.set("directory", f"{pair} {active}")


async def test_a_company_has_an_owner_who_administers_it(demo: Demo) -> None:
    owners = await demo.set("directory", "select id, owner_id from company")
    assert len(owners) == COMPANIES
    assert owners <= await demo.set(
        "directory",
        "select company_id, person_id from attachment where role = 'administrator'",
    )
    # Whoever belongs to a community for a company acts for it.
    assert await demo.set(
        "directory", "select distinct company_id, person_id from membership"
    ) <= await demo.set("directory", "select company_id, person_id from attachment")


async def test_decisions_are_those_of_people_who_run_the_community(demo: Demo) -> None:
    decided = "select distinct community_id, decided_by from membership where state <> 'pending'"
    assert await demo.set("directory", decided) <= await demo.set(
        "directory", "select community_id, person_id from community_animator"
    )


async def test_calls_and_replies_belong_to_companies_of_their_communities(demo: Demo) -> None:
    members = await demo.set(
        "directory",
        "select distinct community_id, company_id, person_id from membership"
        " where state = 'active'",
    )
    calls = "from consultation c join consultation_community on consultation_id = c.id"
    authors = await demo.set(
        "consultations", f"select distinct community_id, c.company_id, author_id {calls}"
    )
    replies = await demo.set(
        "consultations",
        f"select distinct community_id, r.company_id, person_id {calls}"
        " join reply r using (consultation_id)",
    )
    assert authors
    assert replies
    assert authors | replies <= members
    buyers = await demo.set("identity", "select account_id from role_grant where role = 'buyer'")
    assert {(author,) for _, _, author in authors} <= buyers
    assert await demo.set(
        "consultations", "select id, closes_at from consultation where state <> 'draft'"
    ) == await demo.set("notifications", "select id, closes_at from consultation")


async def test_animators_have_a_notice_of_each_request_that_waits(demo: Demo) -> None:
    waiting = await demo.set(
        "directory",
        "select a.person_id, m.person_id, m.id, community_id, requested_at from membership m"
        " join community_animator a using (community_id)"
        " where state = 'pending' and requested_at > $1",
        NOW - NOTICES_KEPT,
    )
    assert waiting
    told = "select person_id, about_id, target_id, community_id, created_at from notice"
    assert await demo.set("notifications", told) == waiting


async def test_nothing_is_left_to_be_sent(demo: Demo) -> None:
    for service, url in demo.urls.items():
        assert await rows(url, "select 1 from outbox") == [], service
    assert await rows(demo.urls["notifications"], "select 1 from delivery") == []
    assert await rows(demo.urls["identity"], "select 1 from mailed_link") == []


async def test_photos_are_where_their_rows_say(demo: Demo) -> None:
    keys = {key for (key,) in await demo.set("directory", "select storage_key from photo")}
    files = {
        str(path.relative_to(demo.storage)) for path in demo.storage.rglob("*") if path.is_file()
    }
    assert keys == files
    assert 24 <= len(keys) <= 48
    for key in keys:
        with Image.open(io.BytesIO((demo.storage / key).read_bytes())) as image:
            assert (image.format, image.size) == ("WEBP", (512, 512))


async def test_the_doors_would_have_taken_every_company(demo: Demo) -> None:
    for company in await _dicts(demo, "directory", "company"):
        form = CompanyForm(
            address={k: company[k] for k in ("street", "postcode", "commune_code")},
            **{name: company[name] for name in CompanyForm.model_fields if name != "address"},
        )
        derived = _columns(form)
        assert {name: company[name] for name in derived} == derived


async def test_the_doors_would_have_taken_everything_else(demo: Demo) -> None:
    for profile in await _dicts(demo, "directory", "profile"):
        form = ProfileForm(**{name: profile[name] for name in ProfileForm.model_fields})
        assert {name: profile[name] for name in ProfileForm.model_fields} == form.model_dump()
    for community in await _dicts(demo, "directory", "community"):
        given = {name: community[name] for name in CommunityForm.model_fields}
        assert CommunityForm(**given).model_dump() == given
    for call in await _dicts(demo, "consultations", "consultation"):
        NewConsultation(
            **_shared(call, NewConsultation),
            communities=[call["id"]],
            contact={part: call[f"contact_{part}"] for part in ("name", "email", "phone")},
        )
    for reply in await _dicts(demo, "consultations", "reply"):
        NewReply(**_shared(reply, NewReply))


def _shared(row: dict[str, Any], form: type[Any]) -> dict[str, Any]:
    return {name: row[name] for name in form.model_fields if name in row}


async def _dicts(demo: Demo, service: str, table: str) -> list[dict[str, Any]]:
    assert table in WRITERS[service].tables
    return [dict(row) for row in await rows(demo.urls[service], f"select * from {table}")]
