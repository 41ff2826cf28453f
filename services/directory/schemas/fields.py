"""Fields that several forms share, with their French refusals."""

import re
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic_core import core_schema
from stdnum.exceptions import ValidationError
from stdnum.fr import siren, siret

from services.directory import reference

# The overseas territories dial 0… as the mainland does, under country codes of their own.
_REGIONS = ("FR", "GP", "GF", "MQ", "RE", "YT", "PM", "NC", "PF", "WF")


def _siret(value: str) -> str:
    number: str = siret.compact(value)
    if not re.fullmatch(r"[0-9]{14}", number):
        raise ValueError("Un SIRET compte 14 chiffres.")
    try:
        siren.validate(number[:9])
    except ValidationError:
        raise ValueError(
            "Les neuf premiers chiffres ne forment pas un SIREN : l'un d'eux est faux."
        ) from None
    try:
        siret.validate(number)  # La Poste has a rule of its own, which it knows
    except ValidationError:
        raise ValueError(
            "Ce SIRET n'est pas valable : l'un des cinq derniers chiffres est faux."
        ) from None
    return number


def _phone(value: str) -> str:
    """E.164. A number of the right length is enough: new ranges open before libraries know them."""
    fallback = None
    for region in _REGIONS:
        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if fallback is None and phonenumbers.is_possible_number(number):
            fallback = number
    if fallback is None:
        raise ValueError("Ce n'est pas un numéro de téléphone.")
    return phonenumbers.format_number(fallback, phonenumbers.PhoneNumberFormat.E164)


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise ValueError("Ce n'est pas une adresse e-mail.") from None


def _link(value: str) -> str:
    """An address on the web; `https://` is understood."""
    full = value if "://" in value else f"https://{value}"
    try:
        parts = urlsplit(full)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    else:
        if parts.scheme not in ("http", "https") or parts.username is not None:
            host = ""
    if not re.fullmatch(r"[^\s<>\"'@]+\.[^\s<>\"'@.]{2,}", host) or re.search(r"[\s<>\"]", full):
        raise ValueError("Ce n'est pas une adresse de site internet.")
    return full


def _naf(value: str) -> str:
    code = value.upper().replace(" ", "")
    if re.fullmatch(r"[0-9]{4}[A-Z]", code):
        code = f"{code[:2]}.{code[2:]}"
    activity = reference.activities().get(code)
    if activity is None or activity.level != "subclass":
        raise ValueError(
            f"Ce code n'existe pas dans la nomenclature {reference.NAF_NOMENCLATURE}"
            " (exemple : 10.71C)."
        )
    return code


def _commune(value: str) -> str:
    if reference.find_commune(value.upper()) is None:
        raise ValueError("Ce code de commune (INSEE) n'existe pas.")
    return value.upper()


def _without_repeats(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _none_if_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Siret = Annotated[str, StringConstraints(max_length=30), AfterValidator(_siret)]
Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(_phone)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)]
Link = Annotated[str, StringConstraints(max_length=290), AfterValidator(_link)]
Links = Annotated[list[Link], Field(max_length=5), AfterValidator(_without_repeats)]
Naf = Annotated[str, StringConstraints(max_length=10), AfterValidator(_naf)]
CommuneCode = Annotated[str, StringConstraints(max_length=5), AfterValidator(_commune)]


class _Optional:
    """Reads an empty text as nothing, and says in the interface that it may be empty."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(_none_if_empty, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [*handler(schema)["anyOf"], {"type": "string", "pattern": r"^\s*$"}]}


Optional = _Optional()
"""Marks a field that a form sends empty when there is nothing to say."""


def line(longest: int) -> StringConstraints:
    """One line of text that is not empty."""
    return StringConstraints(min_length=1, max_length=longest, pattern=r"^[^\r\n\t\x00]+$")


def prose(longest: int) -> StringConstraints:
    """Several lines of text."""
    return StringConstraints(min_length=1, max_length=longest)
