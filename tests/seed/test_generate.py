"""The demo is well formed, coherent with itself, varied, and the same for the same seed."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar
from urllib.parse import urlsplit

import phonenumbers
import pytest
from stdnum.fr import siren, siret

from deploy.demo.generate import generate
from deploy.demo.identifiers import FICTION
from deploy.demo.lexicon import themes, trades
from deploy.demo.photos import photo
from deploy.demo.records import (
    Attachment,
    Community,
    Company,
    Consultation,
    Membership,
    Person,
    Record,
    Reply,
)
from services.directory import reference

T = TypeVar("T", bound=Record)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
DEMO = {"membre", "acheteur", "animateur", "conseiller", "dpo", "exploitant"}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return list(generate(now=NOW))


def of(records: list[Record], kind: type[T]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]


def test_every_siret_is_valid_and_borne_once_and_by_no_real_company(records: list[Record]) -> None:
    companies = of(records, Company)
    assert len(companies) == 10_500
    assert len({company.siret for company in companies}) == len(companies)
    for company in companies:
        siret.validate(company.siret)
        siren.validate(company.siret[:9])
        assert company.siret.startswith("0")  # the register allots none
        assert company.generated


def test_places_and_activities_are_official(records: list[Record]) -> None:
    communes, activities = reference.communes(), reference.activities()
    for company in of(records, Company):
        commune = communes[company.commune_code]
        assert company.postcode in commune.postcodes
        assert company.town in commune.name
        assert activities[company.naf].level == "subclass"


def test_a_company_fits_the_community_it_stands_in(records: list[Record]) -> None:
    communities = {community.id: community for community in of(records, Community)}
    communes = reference.communes()
    for company in of(records, Company):
        community = communities[company.community_id]
        assert not community.naf_divisions or company.naf[:2] in community.naf_divisions
        if community.departments:
            assert communes[company.commune_code].department in community.departments


def test_addresses_lead_nowhere(records: list[Record]) -> None:
    for company in of(records, Company):
        assert company.email is None or company.email.endswith(".example")
        for link in (company.website, *company.social):
            assert link is None or (urlsplit(link).hostname or "").endswith(".example")
    people = of(records, Person)
    assert all(person.email.endswith(".example") for person in people)
    assert len({person.email for person in people}) == len(people)


def test_phone_numbers_are_kept_for_fiction(records: list[Record]) -> None:
    holders: list[Company | Person] = [*of(records, Company), *of(records, Person)]
    for number in (holder.phone for holder in holders):
        if number:
            assert number[3:8] in FICTION.values()
            assert phonenumbers.is_possible_number(phonenumbers.parse(number))


def test_names_are_varied(records: list[Record]) -> None:
    names = Counter(company.name for company in of(records, Company))
    assert len(names) > 8_500
    assert names.most_common(1)[0][1] < 40
    people = Counter((p.first_name, p.last_name) for p in of(records, Person))
    assert len(people) > 10_000


def test_proportions_are_those_of_the_platform(records: list[Record]) -> None:
    companies, people = of(records, Company), of(records, Person)
    memberships = of(records, Membership)
    assert len(of(records, Community)) == 12
    assert 13_500 < len(people) < 14_500
    assert 0.06 < sum(c.sole_trader for c in companies) / len(companies) < 0.10
    assert 0.04 < sum("buyer" in p.roles for p in people) / len(people) < 0.06
    states = Counter(membership.state for membership in memberships)
    assert states["active"] > 10 * states["pending"] > 0
    in_several = Counter(attachment.person_id for attachment in of(records, Attachment))
    of_several = Counter(attachment.company_id for attachment in of(records, Attachment))
    assert sum(count > 1 for count in in_several.values()) > 100
    assert sum(count > 1 for count in of_several.values()) > 1_000
    alone = {p.id for p in people} - {m.person_id for m in memberships}
    assert 400 < len(alone) < 1_500
    assert 280 <= len(of(records, Consultation)) <= 320
    assert 700 < len(of(records, Reply)) < 1_100


def test_a_sole_trader_bears_their_own_name_and_is_alone(records: list[Record]) -> None:
    people = {person.id: person for person in of(records, Person)}
    staff = Counter(attachment.company_id for attachment in of(records, Attachment))
    sole = {company.id: company for company in of(records, Company) if company.sole_trader}
    for attachment in of(records, Attachment):
        if company := sole.get(attachment.company_id):
            person = people[attachment.person_id]
            assert company.name == f"{person.first_name} {person.last_name}"
            assert staff[company.id] == 1
            assert company.legal_form == "EI"


def test_a_record_comes_after_what_it_refers_to(records: list[Record]) -> None:
    seen = set()
    for record in records:
        for name in record.__slots__:
            value = getattr(record, name)
            for reference_ in value if name == "animator_ids" else (value,):
                if name.endswith(("_id", "_ids", "_by")) and reference_ is not None:
                    assert reference_ in seen
        assert record.id not in seen
        seen.add(record.id)


def test_nobody_stands_twice_in_one_company_or_asks_twice(records: list[Record]) -> None:
    attached = Counter((a.person_id, a.company_id) for a in of(records, Attachment))
    asked = Counter((m.person_id, m.company_id, m.community_id) for m in of(records, Membership))
    replied = Counter((r.consultation_id, r.company_id) for r in of(records, Reply))
    for counts in (attached, asked, replied):
        assert max(counts.values()) == 1
    assert {(m.person_id, m.company_id) for m in of(records, Membership)} <= attached.keys()


def test_history_is_in_order_and_ends_now(records: list[Record]) -> None:
    people = {person.id: person for person in of(records, Person)}
    companies = {company.id: company for company in of(records, Company)}
    for person in people.values():
        assert person.created_at <= (person.verified_at or person.created_at) <= NOW
        assert (person.last_seen_at or NOW) <= NOW
    for attachment in of(records, Attachment):
        assert people[attachment.person_id].created_at <= attachment.since <= NOW
        assert companies[attachment.company_id].created_at <= attachment.since
    for membership in of(records, Membership):
        assert people[membership.person_id].verified_at is not None
        assert membership.requested_at <= (membership.decided_at or NOW) <= NOW
        assert (membership.decided_at is None) == (membership.state == "pending")
    consultations = {c.id: c for c in of(records, Consultation)}
    for consultation in consultations.values():
        assert people[consultation.author_id].created_at < consultation.created_at < NOW
        assert (consultation.closes_at < NOW) == (consultation.state == "closed")
        assert (consultation.published_at is None) == (consultation.state == "draft")
        assert (consultation.published_at or NOW) <= NOW
    for reply in of(records, Reply):
        opened = consultations[reply.consultation_id].published_at
        assert opened is not None
        assert (
            opened <= reply.submitted_at <= min(NOW, consultations[reply.consultation_id].closes_at)
        )


def test_an_account_without_community_is_younger_than_six_months(records: list[Record]) -> None:
    joined = {membership.person_id for membership in of(records, Membership)}
    newcomers = [
        p for p in of(records, Person) if p.email.split("@")[1].count(".") == 1 and not p.roles
    ]
    loners = [p for p in newcomers if p.id not in joined and p.job_title is None]
    assert loners
    attached = {attachment.person_id for attachment in of(records, Attachment)}
    assert all(NOW - p.created_at < timedelta(days=182) for p in loners if p.id not in attached)


def test_the_known_accounts_are_there_with_something_to_do(records: list[Record]) -> None:
    known = {
        p.email.split("@")[0]: p for p in of(records, Person) if p.email.endswith("@demo.example")
    }
    assert known.keys() == DEMO
    active = Counter(m.person_id for m in of(records, Membership) if m.state == "active")
    assert active[known["membre"].id] == 3
    assert active[known["acheteur"].id] == 3
    companies = Counter(a.person_id for a in of(records, Attachment))
    assert companies[known["membre"].id] == 2
    led = [c for c in of(records, Community) if known["animateur"].id in c.animator_ids]
    assert [c.slug for c in led] == ["nucleaire-normandie"]
    assert any(
        m.community_id == led[0].id and m.state == "pending" for m in of(records, Membership)
    )
    assert sum(c.author_id == known["acheteur"].id for c in of(records, Consultation)) > 3
    assert sum(r.author_id == known["membre"].id for r in of(records, Reply)) > 3


def test_texts_are_filled_in(records: list[Record]) -> None:
    for consultation in of(records, Consultation):
        assert not set("{}|") & set(consultation.title + consultation.description)
        assert len(consultation.title) <= 120
    for reply in of(records, Reply):
        assert "{" not in reply.message
    for company in of(records, Company):
        assert "{" not in f"{company.name}{company.street}{company.activity}"


def test_the_same_seed_gives_the_same_demo_and_another_seed_another() -> None:
    first = list(generate(now=NOW, companies=300))
    assert first == list(generate(now=NOW, companies=300))
    assert first != list(generate(now=NOW, companies=300, seed=2))


def test_a_million_companies_start_streaming_at_once() -> None:
    assert len(list(islice(generate(now=NOW, companies=1_000_000), 5_000))) == 5_000


def test_trades_bear_official_codes() -> None:
    activities = reference.activities()
    for trade in trades().values():
        assert all(activities[naf].level == "subclass" for naf in trade.naf)
        if trade.aligned:
            assert len(trade.naf) == len(trade.stems) == len(trade.does)
    assert len({theme.slug for theme in themes()}) == 12


def test_a_picture_is_small_and_the_same_for_the_same_person(records: list[Record]) -> None:
    somebody, another = of(records, Person)[:2]
    assert photo(somebody) == photo(somebody) != photo(another)
    assert photo(somebody).startswith(b"\xff\xd8")
    assert len(photo(somebody)) < 20_000
