"""Trade names that could stand over a workshop's door, coherent with trade and place."""

from dataclasses import dataclass
from functools import cache
from random import Random

from deploy.demo.lexicon import Region, Stem, Trade, family_name, load
from services.directory.reference import Commune

EVOCATIVE = (
    *("Alizé", "Amarante", "Argos", "Astrolabe", "Azimut", "Boréal", "Boussole", "Cassiopée"),
    *("Cobalt", "Corail", "Équinoxe", "Galilée", "Granit", "Hélice", "Horizon", "Indigo"),
    *("Isatis", "Ithaque", "Kairos", "Lumen", "Méridien", "Mistral", "Obsidienne", "Ondine"),
    *("Opaline", "Orion", "Passerelle", "Phare", "Polaris", "Quartz", "Sextant", "Sillage"),
    *("Solstice", "Tandem", "Trajectoire", "Tramontane", "Triskell", "Ulysse", "Vega", "Vigie"),
    *("Zénith", "Zéphyr", "Alcyon", "Arcane", "Bastide", "Cadence", "Clairière"),
)
DIGITAL = (
    *("Octet", "Ligne Claire", "Nuage Bleu", "Parallèle", "Hexalogue", "Boucle", "Vecteur"),
    *("Grille", "Script", "Signal", "Interligne", "Petit Robot", "Commutateur", "Canevas"),
    *("Sémaphore", "Algorithme", "Prisme", "Matrice", "Kilo", "Trame", "Réticule", "Contrepoint"),
)
AFTER_VOWEL = ("tech", "tec", "lab", "plus", "pro", "line", "nov", "form", "max", "val", "system")
AFTER_CONSONANT = ("éa", "éo", "ia", "is", "ex", "inov", "otech", "expert", "énia")
# Well-known names that the grammar would hit.
TAKEN = frozenset({"Logitech", "Solex", "Vertex", "Carboline", "Polytech", "Écolab", "Softex"})
VOWELS = "aeiouyàâéèêëîïôöùûAEIOUYÀÂÉÈÊÎÔ"
# Legal forms and how often each is met; "EI" is kept for sole traders.
FORMS = ("SAS", "SARL", "SASU", "EURL", "SA", "SCOP")
FORM_WEIGHTS = (38, 36, 11, 9, 3, 3)


@dataclass(frozen=True, slots=True)
class TradeName:
    name: str
    base: str  # without its legal form
    form: str
    family: str | None  # whose name the company bears, so that its head can bear it too


@cache
def _lands() -> dict[str, tuple[str, ...]]:
    return {code: tuple(lands) for code, lands in load("places")["department"].items()}


@cache
def _behind_a_land() -> frozenset[str]:
    return frozenset(load("places")["contracted"]["behind_a_land"])


def trade_name(
    rng: Random, *, trade: Trade, stem: Stem, region: Region, commune: Commune
) -> TradeName:
    """Draw one of the ways in which French companies name themselves."""
    form = rng.choices(FORMS, FORM_WEIGHTS)[0]
    family: str | None = None
    dice = rng.random()
    if dice < (0.20 if trade.digital else 0.42):
        family = family_name(rng, region=region)
        name = _family_style(rng, trade=trade, stem=stem, family=family, region=region)
    elif dice < (0.32 if trade.digital else 0.68):
        name = _land_style(rng, stem=stem, region=region, commune=commune)
    elif dice < (0.62 if trade.digital else 0.84):
        name = _contracted(rng, trade=trade, region=region)
        if rng.random() < 0.35:
            name = f"{name} {stem.word}"
    elif dice < (0.66 if trade.digital else 0.91):
        name = _acronym(rng, stem=stem, region=region)
    else:
        word = rng.choice(DIGITAL if trade.digital and rng.random() < 0.6 else EVOCATIVE)
        name = f"{word} {stem.word}" if rng.random() < 0.55 else word
    return TradeName(
        base=name, name=_with_form(rng, name=name, form=form), form=form, family=family
    )


def _family_style(rng: Random, *, trade: Trade, stem: Stem, family: str, region: Region) -> str:
    styles = [f"{stem.word} {family}"] * 10 + [f"{family} {stem.word}"] * 4
    if trade.house:
        styles += [f"Maison {family}"] * 7 + [f"{family} et Fils"] * 2
    elif trade.firm or trade.digital:
        styles += [f"{family} & Associés"] * 5 + [f"Cabinet {family}"] * (2 * trade.firm)
        styles += [f"{family} Consultants"] * 3
    else:
        styles += [f"Établissements {family}"] * 3 + [f"Ets {family}"] * 2
        styles += [f"{family} et Fils"] * 2 + [f"{family} Frères", f"{family} et Filles"]
        styles += [f"Ateliers {family}"] * 2 + [f"{family} Industrie"] + [f"Groupe {family}"]
        styles.append(f"{family}-{family_name(rng, region=region)} {stem.word}")
    return rng.choice(styles)


def _land_style(rng: Random, *, stem: Stem, region: Region, commune: Commune) -> str:
    lands = _lands().get(commune.department, ())
    styles = [f"{stem.word} {of_town(_short(commune.name))}"] * 4
    styles += [f"{stem.word} {land}" for land in lands for _ in range(3)]
    styles += [f"{stem.word} {region.adjective[stem.gender]}"] * 4
    styles += [f"{word} {stem.word}" for word in region.words]
    if lands:
        styles.append(f"Ateliers {rng.choice(lands)}")
        styles.append(f"Compagnie {rng.choice(lands)}")
    return rng.choice(styles)


def _contracted(rng: Random, *, trade: Trade, region: Region) -> str:
    root = rng.choice(trade.roots)
    if root.lower() in _behind_a_land() and rng.random() < 0.5:
        first = rng.choice(region.roots)
        if first[-1] in VOWELS and root[0] in VOWELS:
            first = first[:-1]
        return first + root.lower()
    name = root + rng.choice(AFTER_VOWEL if root[-1] in VOWELS else AFTER_CONSONANT)
    return f"{root} Services" if name in TAKEN else name


def _acronym(rng: Random, *, stem: Stem, region: Region) -> str:
    middle = rng.choice(("I", "S", "T", "M", "P", "C"))
    letters = stem.word[0] + middle + rng.choice(region.words)[0]
    letters = letters.translate(str.maketrans("ÉÈÊÎ", "EEEI"))
    if rng.random() < 0.4:
        letters = rng.choice("ABCDEFGLMNPRST") + letters
    return f"{letters} {stem.word}" if rng.random() < 0.7 or len(letters) < 4 else letters


def _with_form(rng: Random, *, name: str, form: str) -> str:
    dice = rng.random()
    if form in ("SARL", "EURL", "SCOP") and dice < 0.16:
        return f"{form} {name}"
    if form != "SCOP" and dice > 0.9:
        return f"{name} {form}"
    return name


def _short(town: str) -> str:
    """'Paris 15e Arrondissement' names a city; a long compound is cut as people do."""
    city = town.split(" ", 1)[0] if town.endswith("Arrondissement") else town
    for joint in (
        "-en-",
        "-sur-",
        "-sous-",
        "-lès-",
        "-les-",
        "-de-",
        "-d'",
        "-la-",
        "-le-",
        "-du-",
    ):
        head, found, _ = city.partition(joint)
        if found and len(city) > 16:
            city = head
    return city


def of_town(town: str) -> str:
    """The town with 'de' before it: du Havre, des Andelys, d'Évreux, de La Haye."""
    if town.startswith("Le "):
        return f"du {town[3:]}"
    if town.startswith("Les "):
        return f"des {town[4:]}"
    return f"d'{town}" if town[0] in VOWELS else f"de {town}"
