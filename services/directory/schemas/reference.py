"""Official codes, for forms."""

from chassis.http import Output


class CommuneView(Output):
    """A commune or a municipal district, with its INSEE code."""

    code: str
    name: str
    department: str
    postcodes: list[str]


class ActivityView(Output):
    """An activity code that a company may bear, in the nomenclature `version`."""

    code: str
    label: str
    version: str
