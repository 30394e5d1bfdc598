"""Fictitious accounts and their people, and external parties."""

from __future__ import annotations

import random
import uuid

from attrs import frozen

_RESELLER = ("Fjordline Telecom", "fjordline")
_COMPANIES = (
    ("Harbour Clinic", "harbour-clinic"),
    ("Blue Kettle Bakery", "blue-kettle"),
    ("Lindqvist & Daughters", "lindqvist"),
    ("Meridian Freight", "meridian"),
    ("Copper Lane Books", "copper-lane"),
    ("Okonkwo Architects", "okonkwo"),
    ("Saltmarsh Brewing", "saltmarsh"),
)
_FIRST = (
    "Amina",
    "Bjarne",
    "Chiara",
    "Dov",
    "Elodie",
    "Farid",
    "Greta",
    "Hiro",
    "Ines",
    "Jonas",
    "Kavita",
    "Lech",
    "Marta",
    "Søren",
)
_LAST = (
    "Abara",
    "Brandt",
    "Castellano",
    "Dahl",
    "Eriksen",
    "Fontaine",
    "Grzyb",
    "Haddad",
    "Ivarsson",
    "Jansen",
    "Kimura",
    "Lindqvist",
)
_OUTSIDERS = (
    "Solveig Dahl",
    "Trattoria Bonaventura",
    "R. Okafor",
    "Cabinet Lémery",
    "Night Courier",
    "Petra Novotná",
    "Tidewater Dental",
    "J. Achterberg",
    "City Water Board",
    "Yusuf Karaca",
    "Elm Street School",
    "Unknown Caller",
)
_ROOMS = ("Front Desk", "Warehouse", "Accounts Department", "Night Bell")
_EXTENSIONS = 8
_FIRST_EXTENSION = 2001


@frozen
class Party:
    """A party of a call. Only people of an account have a user id and a device id."""

    name: str
    number: str
    user_id: str | None = None
    device_id: str | None = None

    @property
    def inside(self) -> bool:
        """Whether the party is a person of an account."""
        return self.device_id is not None

    @property
    def sip_username(self) -> str | None:
        """The name with which the party's telephone registers; None for an external party."""
        return None if self.device_id is None else f"user_{self.device_id[:10]}"


@frozen
class Tenant:
    """An account. `number` is its external number."""

    id: str
    name: str
    realm: str
    number: str
    people: tuple[Party, ...]
    callflow_id: str
    mailbox_id: str
    faxbox_id: str
    reseller_id: str | None = None

    @property
    def front_desk_number(self) -> str:
        """The external number whose calls Pivot routes."""
        return f"+155555502{self.number[-2:]}"

    @property
    def receptionist(self) -> Party:
        """The person who takes the calls of the front desk."""
        return self.people[0]

    def person(self, reference: str) -> Party | None:
        """Return the person with this extension, user id, device id or SIP user name."""
        return next(
            (
                person
                for person in self.people
                if reference in (person.number, person.user_id, person.device_id, person.sip_username)
            ),
            None,
        )

    def party(self, number: str) -> Party:
        """Return the party with `number`: a person of the account, or an external party."""
        return self.person(number) or next(
            (party for party in OUTSIDERS if party.number == number), Party(number, number)
        )


#: External parties.
OUTSIDERS = tuple(Party(name, f"+155555501{40 + at:02d}") for at, name in enumerate(_OUTSIDERS))


def make_id(rng: random.Random) -> str:
    """Return a random id like those of KAZOO's documents: 32 hexadecimal characters."""
    return f"{rng.getrandbits(128):032x}"


def make_call_id(rng: random.Random) -> str:
    """Return a random id like those of legs."""
    return f"{uuid.UUID(int=rng.getrandbits(128), version=4)}@switch.example.net"


def make_tenants(rng: random.Random, count: int) -> list[Tenant]:
    """Return a reseller and its `count` - 1 sub-accounts.

    Realms contain a random word, so that one storage can hold the accounts of several demos.
    """
    realm_suffix = f"{rng.getrandbits(24):06x}"
    reseller = _tenant(rng, 0, *_RESELLER, realm_suffix, None)
    subs = []
    for number in range(1, count):
        name, word = _COMPANIES[(number - 1) % len(_COMPANIES)]
        again = (number - 1) // len(_COMPANIES)
        more = (f" {again + 1}", f"-{again + 1}") if again else ("", "")
        subs.append(_tenant(rng, number, name + more[0], word + more[1], realm_suffix, reseller.id))
    return [reseller, *subs]


def _tenant(
    rng: random.Random, index: int, name: str, word: str, realm_suffix: str, reseller_id: str | None
) -> Tenant:
    names = [*rng.sample(_ROOMS, 2), *_person_names(rng, _EXTENSIONS - 2)]
    people = tuple(
        Party(who, str(_FIRST_EXTENSION + at), make_id(rng), make_id(rng)) for at, who in enumerate(names)
    )
    ids = (make_id(rng), make_id(rng), make_id(rng))
    return Tenant(
        make_id(rng),
        name,
        f"{word}-{realm_suffix}.demo.example.com",
        f"+155555501{index:02d}",
        people,
        *ids,
        reseller_id,
    )


def _person_names(rng: random.Random, count: int) -> list[str]:
    return [
        f"{first} {last}"
        for first, last in zip(rng.sample(_FIRST, count), rng.sample(_LAST, count), strict=True)
    ]
