"""The retention rules, as `retention.toml` states them."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_FILE = Path(__file__).with_name("retention.toml")

Sentence = Annotated[str, Field(min_length=5, max_length=500)]


class RetentionRuleError(Exception):
    """The file of rules says something that no rule can be; the message names the rule and field."""


class Rule(BaseModel):
    """How long accounts in a certain state are kept, who says so, and who is told before they go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=40)]
    trigger: Literal["opened-without-community"]
    """From when the period counts, and for whom."""
    active: bool
    months: Annotated[int, Field(ge=1, le=120)]
    notices_days: Annotated[tuple[int, ...], Field(min_length=1, max_length=3)]
    action: Literal["erase"]
    usual_factor: Annotated[int, Field(ge=2, le=20)]
    usual_minimum: Annotated[int, Field(ge=1, le=1000)]
    silence_days: Annotated[int, Field(ge=2, le=60)]
    promise: Annotated[str, Field(pattern=r"^N\d\.\d$")]
    source: Sentence
    owner: Sentence
    title: Sentence
    description: Sentence

    @model_validator(mode="after")
    def _notices_fall_into_the_period(self) -> Self:
        days = self.notices_days
        if list(days) != sorted(set(days), reverse=True) or days[-1] < 1:
            raise ValueError(
                "notices_days: each warning later than the one before, none on the day"
            )
        if days[0] > 28 * self.months:
            raise ValueError("notices_days: the first warning must fall into the period")
        return self


def parse(text: str) -> Mapping[str, Rule]:
    """The rules in a text, by id. Raises `RetentionRuleError`."""
    try:
        stated = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RetentionRuleError(f"not TOML: {error}") from None
    if set(stated) != {"rules"} or not isinstance(stated["rules"], list) or not stated["rules"]:
        raise RetentionRuleError("there must be [[rules]], and nothing else")
    rules: dict[str, Rule] = {}
    for place, one in enumerate(stated["rules"], 1):
        name = one.get("id", f"number {place}") if isinstance(one, dict) else f"number {place}"
        try:
            rule = Rule.model_validate(one)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'rule'}: {item['msg']}"
                for item in error.errors()
            )
            raise RetentionRuleError(f"rule {name}: {wrong}") from None
        if rule.id in rules:
            raise RetentionRuleError(f"rule {rule.id}: stated twice")
        if rule.active and any(r.active and r.trigger == rule.trigger for r in rules.values()):
            raise RetentionRuleError(f"rule {rule.id}: another active rule has the same trigger")
        rules[rule.id] = rule
    return rules


@cache
def rules() -> Mapping[str, Rule]:
    """The rules of this release, by id. Raises `RetentionRuleError`: better not to start."""
    return parse(_FILE.read_text(encoding="utf-8"))
