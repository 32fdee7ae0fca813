"""Which nouns can name the same thing: "the dog" after "a corgi", "the animal" after either."""

from __future__ import annotations

from .lexicon import singular, word_set
from .noun_phrases import NounPhrase

_KINDS = {
    "dog": word_set(
        """
        retriever corgi samoyed husky poodle beagle terrier puppy pup shepherd labrador dalmatian bulldog chihuahua
        pug dachshund collie hound greyhound spaniel canine doggy mutt hunter
        """
    ),
    "cat": word_set(
        """
        kitten kitty tabby siamese persian calico feline
        """
    ),
    "horse": word_set(
        """
        stallion mare foal pony colt steed
        """
    ),
    "bird": word_set(
        """
        robin sparrow parrot eagle owl seagull gull crow raven pigeon dove heron swan duck goose chicken hen rooster
        hawk falcon flamingo hummingbird finch canary penguin toucan peacock stork turkey macaw duckling chick
        """
    ),
    "bear": word_set(
        """
        cub panda
        """
    ),
    "cow": word_set(
        """
        calf bull heifer ox
        """
    ),
    "person": word_set(
        """
        man woman boy girl child kid teenager lady gentleman guy dancer runner skater skateboarder cyclist worker
        """
    ),
    "monkey": word_set(
        """
        chimpanzee ape gorilla baboon macaque
        """
    ),
    "car": word_set(
        """
        suv sedan truck van taxi jeep vehicle
        """
    ),
    "boat": word_set(
        """
        rowboat canoe sailboat kayak ship
        """
    ),
    "sofa": word_set(
        """
        couch settee
        """
    ),
    "rabbit": word_set(
        """
        bunny hare
        """
    ),
    "table": word_set(
        """
        desk
        """
    ),
    "fish": word_set(
        """
        goldfish shark
        """
    ),
    "turtle": word_set(
        """
        tortoise
        """
    ),
}
_ANY_ANIMAL = word_set(
    """
    animal creature pet beast critter mammal insect reptile rodent figure character
    """
)
_ANY_THING = word_set(
    """
    object thing item structure vehicle
    """
)


def same_actor(one: NounPhrase, other: NounPhrase) -> bool:
    """Whether two nouns can name one thing: equal heads, a kind of ("corgi", "dog"), part of a compound."""
    a, b = singular(one.head), singular(other.head)
    if a == b:
        # "a white horse" and "a black horse"; "the horse" is either
        described, other_described = (
            set(each.full.split()) - set(each.noun.split()) for each in (one, other)
        )
        return not (described and other_described and not described & other_described)
    if len(a) > 2 and len(b) > 2 and (a.endswith(b) or b.endswith(a)):
        return True
    for general, special in _KINDS.items():
        if (a == general and b in special) or (b == general and a in special):
            return True
    return a.split("-")[-1] == b.split("-")[-1]


def is_general(noun: str, of_things: bool = False) -> bool:
    """Whether it can stand for any animal, or with of_things for any object."""
    return noun in _ANY_ANIMAL or (of_things and noun in _ANY_THING)
