"""What kind of word a word is, from LemmInflect's dictionary and short lists of the closed classes."""

from __future__ import annotations

import re
from functools import lru_cache

from ..errors import SpatialAlignError


def word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


DETERMINERS = word_set("a an the this that these those his her its my our their your another one some")
MANY = word_set(
    "two three four five six seven eight nine ten several many both few multiple dozens hundreds numerous various"
)
PRONOUNS = word_set("it he she they him them itself himself herself")
RELATIVES = word_set("which who that whose where")
AUXILIARIES = word_set(
    "is are was were be been being has have had does do did will can gets 's isn't aren't wasn't doesn't didn't won't"
)
PREPOSITIONS = word_set(
    """
    of in on at by with from near inside under behind beneath below above over into onto to towards toward upon atop
    off out for about during outside among along next beside amid beyond within around between through throughout
    across against past underneath like without up down
    """
)
CONJUNCTIONS = word_set(
    "and or but nor so yet then while whilst as when until till before after because if though although once where"
)
ADVERBS = word_set(
    """
    now first last initially still currently already also just again quickly back there here later next finally
    suddenly soon afterwards afterward eventually once then away together slowly gradually instead meanwhile
    originally previously earlier immediately right straight gently almost even only very too quite
    """
)
LOOKS = word_set(
    """
    look gaze glance face stare peer turn point lean tilt wave nod glare squint watch see blink aim bend twist
    stretch reach extend raise lift hold wag swing shake
    """
)
"""Verbs whose direction moves nothing from its place: "looks to the right"."""

FILMING = word_set(
    """
    film view light illuminate pan zoom truck dolly backlight photograph record track trucking camera
    """
)
FILMED = word_set("see capture shoot frame show watch observe")
"""Verbs of the camera: always, and where "from" follows ("seen from the left", but "seen on the left of a box")."""

CAMERA_STARTS = word_set(
    """
    pan panning zoom zooming truck trucking dolly tracking track tilt tilting we i you filmed viewed lit backlit arc
    orbit orbiting handheld crane pov drone aerial static steadicam timelapse time-lapse slow-motion
    """
)
"""Words that begin a clause about the camera when no noun for the subject follows."""

IMPERATIVES = word_set(
    """
    put place move set show imagine generate create make animate draw render picture depict film send
    """
)
STAGING = word_set(
    """
    camera shot view angle lens scene frame image picture video clip footage photo photograph animation film movie
    light lighting sunlight sun moonlight lamplight glow beam rays shadow shadows reflection reflections highlight
    background foreground horizon sky clouds wind breeze rain snow fog mist dust smoke ripples steam water style
    atmosphere composition focus bokeh text title caption watermark logo music sound narrator voice perspective tone
    palette colors colours color colour mood transition cut zoom pan dolly close-up closeup shutter aperture depth
    rim backlight silhouette viewer viewpoint
    """
)
"""Nouns of camera, light, weather and style: their clauses never say where the subject is."""

MEDIA = word_set(
    """
    shot view video clip footage photo photograph picture image animation film movie scene close-up closeup render
    rendering painting drawing illustration portrait gif recording sequence
    """
)
FRAME = word_set(
    """
    frame screen image picture shot scene video view viewer camera canvas composition room kitchen garden park field
    street road path stage photo background foreground display lens yard meadow
    """
)
"""Things whose left and right are parts of the picture or of the place, not sides that a detector can find."""

_ADJECTIVES = word_set(
    """
    small big large little tiny huge giant tall short long wide narrow round square flat fat thin slim old young new
    red green blue yellow orange purple pink brown black white grey gray golden silver dark light bright colorful
    colourful pale striped spotted wooden wood metal metallic plastic leather brick marble concrete wicker steel
    iron velvet brass ceramic clay bamboo cotton silk porcelain granite cardboard stony rusty dusty clean dirty wet
    dry shiny soft fluffy furry cute lovely pretty beautiful happy sad sleepy lazy playful curious brave quick fast
    slow quiet single simple plain open closed empty full broken adorable friendly gentle wild realistic very really
    rather tabby ginger fuzzy chubby strong heavy good nice great same other lush plush sturdy beige tan cream
    crimson scarlet turquoise violet maroon navy lone antique vintage modern cozy cosy rustic baby anime cartoon
    photorealistic adult male female smaller larger bigger
    """
)
_COMPOUNDS = word_set(
    """
    polar-bear top-hat teddy-bear hot-dog golden-retriever grand-piano guinea-pig wild-boar bald-eagle electric-guitar
    black-bear brown-bear grizzly-bear white-tiger red-panda great-dane light-bulb light-switch lamp-post
    baby-carriage baby-stroller yellow-jacket orange-tree
    """
)
_TOOLS = word_set(
    """
    bag shoe shoes machine chair pool ring board cart table glass pan pot stone bridge saucer stick rod room boat
    mat iron gloves pole car wheel ship net bowl cane trunk trail ball kit horse post stool station
    """
)
"""Heads for which an -ing word names a kind ("sleeping bag") and not what it does ("sleeping cat")."""

_PASTS = word_set(
    """
    sat stood lay ran leapt leaped went flew swam hung came began fell rose slept crept slid hid got dove sprang
    swung spun strode kept made took crawled drove rode climbed
    """
)
_NOT_ADVERBS = word_set("butterfly fly dragonfly firefly lily jelly family belly bully trolley")
_NOT_VERBS = word_set(
    "bus dress glass cross grass gas lens species series its his glasses stairs shoes scissors"
)


@lru_cache(maxsize=8192)
def tags(word: str) -> frozenset[str]:
    """The kinds a word may be: NOUN, VERB, ADJ, ADV; by its ending where the dictionary does not have it."""
    known = frozenset(_lemmas(word)) & {"NOUN", "VERB", "ADJ", "ADV", "PROPN"}
    if known:
        return known
    if "-" in word:
        last = word.rsplit("-", 1)[1]
        return frozenset({"ADJ"}) if tags(last) & {"ADJ", "VERB"} and "NOUN" not in tags(last) else tags(last)
    if word.endswith("ly"):
        return frozenset({"ADV"})
    return frozenset({"NOUN"})


@lru_cache(maxsize=8192)
def verb_stem(word: str) -> str:
    """The infinitive of a word that can be a verb, else ""."""
    lemmas = _lemmas(word).get("VERB")
    return lemmas[0] if lemmas else ""


def inflected_verb(word: str) -> bool:
    """Whether it has a verb's ending: jumps, jumping, jumped, sat."""
    if word in _NOT_VERBS or word.endswith("ss"):
        return False
    if word in _PASTS:
        return True
    stem = verb_stem(word)
    return bool(stem) and stem != word and word.endswith(("s", "ing", "ed"))


def only_verb(word: str) -> bool:
    return "NOUN" not in tags(word) and "ADJ" not in tags(word) and inflected_verb(word)


def is_adverb(word: str) -> bool:
    if word in ADVERBS:
        return True
    return word.endswith("ly") and word not in _NOT_ADVERBS and "NOUN" not in tags(word)


def is_number(word: str) -> bool:
    """Digits, and digits with a unit: 1, 4k, 35mm, 24fps, 1080p."""
    return bool(re.fullmatch(r"\d[\d.x:]*(?:k|mm|fps|p|d|s)?", word))


def describes(word: str, head: str = "", following: str = "") -> bool:
    """Whether a word in front of a noun only describes it: "small", "weathered", "sleeping" (of a cat, not a bag).

    head: the noun, following: the word right behind.
    """
    if f"{word}-{following}" in _COMPOUNDS:
        return False
    if word in _ADJECTIVES or is_number(word) or is_adverb(word):
        return True
    kinds = tags(word)
    if word.endswith("ing") and "VERB" in kinds:
        return head not in _TOOLS
    if "NOUN" not in kinds:
        return bool(kinds & {"ADJ", "ADV"}) or word.endswith(("ed", "en"))
    return False


def singular(word: str) -> str:
    return _lemmas(word).get("NOUN", (word,))[0]


@lru_cache(maxsize=8192)
def _lemmas(word: str) -> dict[str, tuple[str, ...]]:
    """The dictionary's base forms of a word, by kind."""
    try:
        from lemminflect import getAllLemmas
    except ImportError as error:
        raise SpatialAlignError(
            "The Python package lemminflect is missing, which reads sentences; install what requirements.txt of "
            "SpatialAlign lists, then start again."
        ) from error
    result: dict[str, tuple[str, ...]] = getAllLemmas(word)
    return result
